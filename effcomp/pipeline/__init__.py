"""From overrides to a Record: compose, check, run the stages."""
