"""`python -m edgewise` is the command `edgewise`."""

from edgewise.cli.main import run

if __name__ == "__main__":
    run()
