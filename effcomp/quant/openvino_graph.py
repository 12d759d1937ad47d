"""OpenVINO graphs, as NNCF quantizes them."""


def silence_nncf() -> None:
    """Keep NNCF's tables and progress bars off the terminal: a person cannot act on them."""
    import logging

    import nncf  # noqa: F401  # it sets the level of its logger when it is imported
    import rich

    logging.getLogger("nncf").setLevel(logging.ERROR)  # nncf.set_log_level changes handlers that are not its own
    rich.reconfigure(quiet=True)
