"""Makes `uap_core.json` and `crawlers.txt` of this folder from two Python wheels.

    pip download --no-deps ua-parser-builtins==202610 crawler-user-agents==1.67.0
    python3 convert.py ua_parser_builtins-*.whl crawler_user_agents-*.whl

Only what `user_agent` reads is kept: of each rule its pattern, whether it ignores case, and
what it says of the family; versions, brands and models are left out.
"""

import json
import sys
import types
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent

# Also in what people use: names of phones and tablets, an Android build, in-app browsers,
# an editor, a browser for one site, and parts of longer words and numbers.
LEFT_OUT = {
    "008\\/",
    "AP3A\\.240617\\.008",
    "Butterfly",
    "Code\\/1\\.",
    "Fluid",
    "MetaIAB Facebook",
    "RED\\/",
    "Sonic",
    "speedy",
}


def without_nulls(rule):
    return {key: value for key, value in rule.items() if value is not None}


def browser(regex, family=None, *_versions):
    return without_nulls({"regex": regex, "family_replacement": family})


def system(regex, family=None, *_versions):
    return without_nulls({"regex": regex, "os_replacement": family})


def device(regex, flag=None, family=None, *_brand_and_model):
    return without_nulls(
        {"regex": regex, "regex_flag": flag, "device_replacement": family}
    )


def uap_core(wheel):
    """The rules as the wheel's own module lists them, its classes being the three above."""
    matchers = types.ModuleType("ua_parser.matchers")
    matchers.UserAgentMatcher = browser
    matchers.OSMatcher = system
    matchers.DeviceMatcher = device
    sys.modules["ua_parser"] = types.ModuleType("ua_parser")
    sys.modules["ua_parser.matchers"] = matchers
    module = {}
    exec(wheel.read("ua_parser_builtins/matchers.py").decode(), module)
    browsers, systems, devices = module["MATCHERS"]
    return {
        "user_agent_parsers": browsers,
        "os_parsers": systems,
        "device_parsers": devices,
    }


def crawlers(wheel):
    rules = json.loads(wheel.read("crawleruseragents/crawler-user-agents.json"))
    patterns = [rule["pattern"] for rule in rules]
    unknown = LEFT_OUT.difference(patterns)
    if unknown:
        raise SystemExit(f"no longer there, take them out of LEFT_OUT: {unknown}")
    return [pattern for pattern in patterns if pattern not in LEFT_OUT]


def lines(rules):
    """JSON with a rule a line, so that an update shows what it changes."""
    lists = []
    for name, entries in rules.items():
        dump = [json.dumps(entry, ensure_ascii=False) for entry in entries]
        lists.append(f'"{name}": [\n' + ",\n".join(dump) + "\n]")
    return "{\n" + ",\n".join(lists) + "\n}\n"


def main(uap_core_wheel, crawlers_wheel):
    with zipfile.ZipFile(uap_core_wheel) as wheel:
        (FOLDER / "uap_core.json").write_text(lines(uap_core(wheel)))
    with zipfile.ZipFile(crawlers_wheel) as wheel:
        (FOLDER / "crawlers.txt").write_text("\n".join(crawlers(wheel)) + "\n")


main(*sys.argv[1:])
