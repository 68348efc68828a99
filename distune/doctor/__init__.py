"""`distune doctor`: tries the protocol's promises on a directory, from one host or two.

`probes` measures from one host, `peer` from two that find each other in the directory
itself, `verdict` (pure) judges what was measured. All that touches the directory happens in
a process of its own (`prober`), because a share that hangs would hang the doctor
(`examination`).
"""
