"""The command as a test calls it."""

from torchmetrics_majorscore.cli import main


def run(capsys, *arguments):
    """Run a command here: its exit code, what it printed, and what it wrote to stderr."""
    code = main.main(list(map(str, arguments)))
    output = capsys.readouterr()
    return code, output.out, output.err
