"""Send the runs that are kept on disk to an MLflow server.

effcomp upload                                          the runs in multirun, to the server that they name
effcomp upload multirun/2026-11-22/10-00-00 --to http://HOST:PORT

A run whose Record the server already has is not sent again.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from effcomp.core.command_line import Parser, refusing
from effcomp.core.errors import UserError

if TYPE_CHECKING:
    from effcomp.sweep.upload import Uploaded

SERVERS = ("http://", "https://")


def main() -> None:
    """Send the runs of the folders that the command names."""
    parser = Parser(prog="effcomp upload", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", default=["multirun"], help="multirun if none is given")
    parser.add_argument("--to", metavar="URI", help="http://HOST:PORT; else the one server that the runs' configs name")
    arguments = parser.parse_args()
    with refusing():
        for folder in arguments.folders:
            done = send(Path(folder), arguments.to)
            print(f"{folder}: {done.sent} sent ({done.without_model} without a model), {done.there_already} were there")


def send(folder: Path, uri: str | None) -> "Uploaded":
    """Upload the runs of a folder: all of them to this server, or those that name the one server of their configs.

    Raises:
        UserError: there are none, they name no server or several, or it does not answer.
    """
    from effcomp.sweep.upload import upload
    from effcomp.tracking.base import Unreachable
    from effcomp.tracking.mlflow_runs import MlflowTracking

    server = uri if uri is not None else named_server(folder)
    if not server.startswith(SERVERS):
        raise UserError(f"--to {server}: give http://HOST:PORT")
    try:
        return upload(folder, MlflowTracking(name="server", uri=server, artifacts=None), every=uri is not None)
    except Unreachable as error:
        raise UserError(str(error)) from error


def named_server(folder: Path) -> str:
    """Return the tracking server that the runs of a folder name.

    Raises:
        UserError: they name none, or several.
    """
    from effcomp.report.sources import find_records

    named = {record.config["tracking"].get("uri") or "" for record in find_records(folder)}
    servers = sorted(name for name in named if name.startswith(SERVERS))
    if len(servers) != 1:
        reason = f"name {len(servers)} servers ({', '.join(servers)})" if servers else "name no server"
        raise UserError(f"the runs in {folder} {reason}; give one: --to http://HOST:PORT")
    return servers[0]
