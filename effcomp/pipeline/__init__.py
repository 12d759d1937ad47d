"""Pipeline from overrides to a Record: compose, check, run the stages."""
