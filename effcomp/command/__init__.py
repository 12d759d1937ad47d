"""The subcommands of `effcomp` that are not modules of their own package."""
