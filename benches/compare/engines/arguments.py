"""What the scripts of all engines are told."""

import argparse
import os
import pathlib


def parse(*first):
    parser = argparse.ArgumentParser()
    for name in (*first, "lake", "out"):
        parser.add_argument(name)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--memory", help="a limit such as 1GB")
    parser.add_argument("--answer", action="store_true", help="print the one row of the result")
    parser.add_argument("--seed-file", help="referrer_mapping.csv, for J4, whose OUT is a folder")
    options = parser.parse_args()
    if options.seed_file:
        os.makedirs(options.out)
    return options


def sql(pages):
    """The options and the statements of the query file, with its placeholders filled in."""
    options = parse("query")
    text = pathlib.Path(options.query).read_text()
    filled = {"pages": pages.replace("{lake}", options.lake), "out": options.out, "seed": options.seed_file or ""}
    for name, value in filled.items():
        text = text.replace("{{%s}}" % name, value)
    return options, [statement for statement in text.split(";\n") if statement.strip()]


def bytes_of(size):
    """256MB -> 256000000."""
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
    return int(float(size[:-2]) * units[size[-2:].upper()])
