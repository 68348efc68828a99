"""`distune launch k8s`: a study's master and workers as Jobs of Kubernetes."""

from pathlib import Path
from typing import Annotated

import typer

from distune.cli.commands.launch import common
from distune.cli.commands.launch.common import Count, DryRun, Out, Space, StudyOf
from distune.cli.options import AllowCommands, DevicesPerTrial, Jobs, Objectives, as_arguments

EXAMPLE = (
    "distune launch k8s --space space.json --image me/distune:cuda --claim shared-logs --workers 4"
)

Image = Annotated[
    str, typer.Option(metavar="NAME", help="The image; docker/README.md says how to build it.")
]
Claim = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The volume claim that holds the logs directory; many nodes write to it "
        "(ReadWriteMany).",
    ),
]
DataClaim = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The volume claim that holds, or gets, data sets."),
]
Cpus = Annotated[str, typer.Option(metavar="N", help="Cores of each worker, such as 4 or 500m.")]
Memory = Annotated[str, typer.Option(metavar="SIZE", help="Memory of each worker, such as 16Gi.")]
Gpus = Annotated[int, typer.Option(min=0, metavar="N", help="NVIDIA GPUs of each worker.")]
Kueue = Annotated[
    str | None, typer.Option(metavar="QUEUE", help="The local queue of Kueue's that they wait in.")
]
Namespace = Annotated[
    str | None, typer.Option(metavar="NAME", help="Where they run; by default where kubectl works.")
]


def k8s(
    space: Space,
    image: Image,
    claim: Claim,
    study: StudyOf = None,
    workers: Count = 1,
    cpus: Cpus = "1",
    memory: Memory = "2Gi",
    gpus: Gpus = 0,
    kueue: Kueue = None,
    namespace: Namespace = None,
    data_claim: DataClaim = None,
    jobs: Jobs = None,
    devices_per_trial: DevicesPerTrial = None,
    objective: Objectives = None,
    allow_commands: AllowCommands = False,
    out: Out = None,
    dry_run: DryRun = False,
) -> None:
    """Write manifests of a study's master and its workers, and start them with kubectl.

    The space file and the files of objectives travel in the manifests; what these import has to
    be in the image. Pods that the cluster evicts are replaced and do not count as failures; a
    mistake (exit status 2) is not repeated.
    """
    from distune.launch.k8s import LOGS, Cluster, manifests
    from distune.launch.names import object_name

    asked = common.contained_study(space, study, objective or [])
    common.check_gpus(str(gpus), devices_per_trial)
    path = out or Path(f"{common.launch_name(asked.name)}.k8s.yaml")
    if not dry_run:
        common.require("kubectl", "install it")
    master = as_arguments(
        space=asked.space, logs=LOGS, study=asked.name, plain=True, objective=asked.objectives
    )
    worker = as_arguments(
        logs=LOGS, study=asked.name, jobs=jobs, devices_per_trial=devices_per_trial,
        objective=asked.objectives,
        allow_commands=allow_commands,
    )  # fmt: skip
    cluster = Cluster(
        study=asked.name, master=["master", *master], worker=["worker", *worker],
        workers=workers, image=image, claim=claim, data_claim=data_claim, files=asked.texts(),
        cpus=cpus, memory=memory, gpus=gpus, queue=kueue, namespace=namespace,
    )  # fmt: skip
    common.write(path, manifests(cluster))
    if dry_run:
        common.tell(start=f"kubectl apply -f {path}")
        return
    typer.echo(common.submit(["kubectl", "apply", "-f", str(path)]))
    where = "" if namespace is None else f"--namespace {namespace} "
    master_job = f"job/{object_name(asked.name)}-master"
    common.tell(
        watch=f"kubectl {where}logs --follow {master_job}",
        stop=f"kubectl delete -f {path}   (each gives its trials back; apply it to go on)",
    )
