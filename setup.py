"""Packages of the wheel: those of the tree, and conf/ (the menu of the program) as effcomp.conf."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[
        *find_namespace_packages(include=["effcomp*", "hydra_plugins*"]),
        *(f"effcomp.{folder}" for folder in find_namespace_packages(include=["conf*"])),
    ],
    package_dir={"effcomp.conf": "conf"},
    package_data={"": ["*.yaml"], "effcomp.quant": ["*.c"], "effcomp.report.page": ["*.html", "*.css", "*.js"]},
)
