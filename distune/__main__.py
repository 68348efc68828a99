"""`python -m distune`."""

from distune.cli import main

if __name__ == "__main__":
    main()
