"""Send the runs that are kept on disk to MLflow.

effcomp upload                                          the runs in multirun, to the server or database they name
effcomp upload multirun/2026-11-22/10-00-00 --to http://HOST:PORT

A run whose Record the server already has is not sent again.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcomp.core.command_line import Parser, refusing
from effcomp.core.errors import UserError

if TYPE_CHECKING:
    from effcomp.sweep.upload import Uploaded

SERVERS = ("http://", "https://")


def main() -> None:
    """Send the runs of the folders that the command names."""
    parser = Parser(prog="effcomp upload", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", default=["multirun"], help="multirun if none is given")
    parser.add_argument("--to", metavar="URI", help="http://HOST:PORT; else what the runs' configs name")
    arguments = parser.parse_args()
    with refusing():
        for folder in arguments.folders:
            done = send(Path(folder), arguments.to)
            print(f"{folder}: {done.sent} sent ({done.without_model} without a model), {done.there_already} were there")


def send(folder: Path, uri: str | None) -> "Uploaded":
    """Upload the runs of a folder to this server; without one those that name a server or a database, to that.

    Raises:
        UserError: there are none, they name no server or database or several, or it does not answer.
    """
    from effcomp.sweep.upload import upload
    from effcomp.tracking.base import ServerUnreachable
    from effcomp.tracking.mlflow_runs import MlflowTracking

    if uri is not None and not uri.startswith(SERVERS):
        raise UserError(f"--to {uri}: give http://HOST:PORT")
    settings = named_tracking(folder) if uri is None else {"name": "server", "uri": uri}
    known = {name: value for name, value in settings.items() if name in MlflowTracking.model_fields}
    try:
        return upload(folder, MlflowTracking(**{"artifacts": None, **known}), every=uri is not None)
    except ServerUnreachable as error:
        raise UserError(str(error)) from error


def named_tracking(folder: Path) -> dict[str, Any]:
    """Return the settings `tracking` of the runs of a folder that name its server, or without one its database.

    Raises:
        UserError: they name none, or several.
    """
    from effcomp.report.sources import find_records

    every = [record.config["tracking"] for record in find_records(folder)]
    named: dict[str, dict[str, Any]] = {settings["uri"]: settings for settings in every if settings.get("uri")}
    uris = sorted(uri for uri in named if uri.startswith(SERVERS)) or sorted(named)
    if len(uris) != 1:
        reason = f"name {len(uris)} servers or databases ({', '.join(uris)})" if uris else "name no server"
        raise UserError(f"the runs in {folder} {reason}; give one: --to http://HOST:PORT")
    return named[uris[0]]
