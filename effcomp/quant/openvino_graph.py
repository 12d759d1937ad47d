"""OpenVINO graphs, as NNCF quantizes them."""


def silence_nncf() -> None:
    """Keep NNCF's tables and progress bars off the terminal: a person cannot act on them."""
    import logging

    import nncf
    import rich

    nncf.set_log_level(logging.ERROR)
    rich.reconfigure(quiet=True)
