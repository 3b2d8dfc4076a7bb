"""Remedies of rules, applied to the case that triggers the rule: they fix it.

A new rule needs an entry here: in ``COMMANDS``, if its remedy names a command that changes a
cluster, with values for its placeholders; else in ``EDITS``, with the change that its sentence
describes. Commands run as printed, against a real API server with the case. The tests do not use
kubectl: they write its annotations and labels themselves.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kgctl.diagnosis.check import ALL_RULES
from kgctl.diagnosis.finding import LinkRule, NodeRule
from tests.apiserver.client import RESOURCES
from tests.diagnosis.options import CHECKED_WITH
from tests.support.recorded import kgctl
from tests.support.several import key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.apiserver.server import ApiServer
    from tests.support.recorded import Answer

Objects = list[dict[str, Any]]
Findings = list[dict[str, str]]

HERE = Path(__file__).parent
KILO = "kilo.squat.ai/"
AT = ("--at", "1000")
FREE, PUBLIC = "10.99.0.1/32", "203.0.113.77"

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "KG001": {"ADDRESS": PUBLIC},
    "KG101": {},
    "KG102": {"VALUE": "192.168.2.0/24"},
    "KG103": {},
    "KG106": {},
    "KG107": {},
    "KG108": {},
    "KG109": {},
    "KG202": {"ADDRESS/PREFIX": "10.1.0.77/24"},
    "KG208": {"ADDRESS/PREFIX": "10.1.0.77/24"},
    "KG209": {"ADDRESS/PREFIX": "10.1.0.77/24"},
    "KG210": {"ADDRESS/PREFIX": "10.1.0.77/24"},
    "KG211": {"ADDRESS/PREFIX": "10.1.0.77/24"},
    "KG212": {"ADDRESS/32": FREE},
    "KG213": {"NETWORKS": "10.99.0.0/24"},
    "KG214": {"NETWORKS": "10.99.0.0/24"},
    "KG215": {"ADDRESS/32": FREE},
    "KG218": {"ADDRESS/PREFIX": "10.1.0.77/24"},
    "KG301": {"ADDRESS": PUBLIC},
    "KG302": {"ADDRESS": PUBLIC},
    "KG303": {},
    "KG304": {},
    "KG305": {},
    "KG306": {},
    "KG307": {},
    "KG309": {"ADDRESS": PUBLIC},
    "KG312": {},
    "KG313": {},
    "KG314": {},
    "KG315": {"SITE": "another"},
    "KG316": {"NODE": "n2"},
    "KG321": {},
    "KG402": {"ADDRESS/32": FREE},
    "KG403": {"ADDRESS/32": FREE},
    "KG404": {},
    "KG407": {},
    "KG408": {},
    "KG409": {},
    "KG410": {},
    "KG411": {},
    "KG412": {"ADDRESS": PUBLIC},
    "KG416": {},
    "KG414": {"ADDRESS": PUBLIC},
    "KG417": {},
    "KG418": {},
    "KG505": {"ADDRESS:PORT": f"{PUBLIC}:51820"},
    "KG601": {},
    "KG602": {},
    "KG603": {},
    "KG604": {"NETWORKS": "10.99.0.0/24"},
    "KG605": {"ADDRESS": PUBLIC},
    "KG607": {},
    "KG701": {},
    "KG702": {},
    "KG703": {},
    "KG704": {},
    "KG705": {"NETWORKS": "192.168.0.0/16"},
    "KG720": {},
}
"""By rule, what stands for the words in capitals of its command."""


# --- what people or agents do where no command does it ---


def each_node(objects: Objects) -> Iterator[dict[str, Any]]:
    return (one for one in objects if one["kind"] == "Node")


def of_name(objects: Objects, name: str) -> dict[str, Any]:
    return next(one for one in objects if one["metadata"]["name"] == name)


def annotate(objects: Objects, name: str, **values: str) -> None:
    annotations = of_name(objects, name)["metadata"].setdefault("annotations", {})
    annotations.update({KILO + one.replace("_", "-"): value for one, value in values.items()})


def agents_write(objects: Objects, **values: str) -> None:
    for node in each_node(objects):
        annotate(objects, node["metadata"]["name"], **values)


def agent_starts(objects: Objects) -> None:
    """Have an agent write all that it writes when it starts on the node a."""
    annotate(
        objects, "a", key=key("a"), endpoint="203.0.113.9:51820", internal_ip="10.1.0.9/24",
        last_seen="1000", granularity="location",
    )  # fmt: skip


def kilo_is_installed(objects: Objects) -> None:
    for number, node in enumerate(each_node(objects), 1):
        annotate(
            objects, node["metadata"]["name"], key=key(f"node {number}"), granularity="location",
            endpoint=f"203.0.113.{number}:51820", internal_ip=f"10.1.0.{number}/24",
            last_seen="1000", location=str(number),
        )  # fmt: skip
        node["spec"]["podCIDR"] = f"10.42.{number}.0/24"


def larger_subnet(objects: Objects) -> None:
    for number, node in enumerate(each_node(objects), 1):
        annotate(objects, node["metadata"]["name"], wireguard_ip=f"10.100.0.{number}/16")


def same_subnet(objects: Objects) -> None:
    for number, node in enumerate(each_node(objects), 1):
        if KILO + "wireguard-ip" in node["metadata"]["annotations"]:
            annotate(objects, node["metadata"]["name"], wireguard_ip=f"10.4.0.{number}/16")


def heard_again(objects: Objects) -> None:
    agents_write(objects, last_seen="1000")


def allow(name: str, *networks: str) -> Callable[[Objects], None]:
    def edit(objects: Objects) -> None:
        of_name(objects, name)["spec"]["allowedIPs"] = list(networks)

    return edit


def write(name: str, **values: str) -> Callable[[Objects], None]:
    return lambda objects: annotate(objects, name, **values)


def pods(name: str, network: str) -> Callable[[Objects], None]:
    def edit(objects: Objects) -> None:
        of_name(objects, name)["spec"] = {"podCIDR": network}

    return edit


def version_of_kilo(objects: Objects) -> None:
    for one in objects:
        if one["kind"] == "Peer":
            one["apiVersion"] = "kilo.squat.ai/v1alpha1"


def spelt_right(objects: Objects) -> None:
    spec = of_name(objects, "laptop")["spec"]
    spec["presharedKey"] = spec.pop("presharedkey")


def known_end(objects: Objects) -> None:
    of_name(objects, "laptop")["metadata"]["annotations"]["kgctl.dev/expires"] = (
        "2027-01-31T12:00:00Z"
    )


def one_family(objects: Objects) -> None:
    for node in each_node(objects):
        node["spec"].pop("podCIDRs", None)


EDITS: Mapping[str, tuple[str, Callable[[Objects], None]]] = {
    "KG002": ("restart Kilo's pod", write("a", key=key("new"))),
    "KG003": ("allocate pod CIDRs", pods("a", "10.42.1.0/24")),
    "KG004": ("check whether Kilo's pod runs", heard_again),
    "KG005": ("kubectl get pods", heard_again),
    "KG006": ("set the clock", heard_again),
    "KG007": ("check whether Kilo's pod runs", agent_starts),
    "KG008": ("remove Kilo's key file", write("b", key=key("new"))),
    "KG009": ("install Kilo", kilo_is_installed),
    "KG104": ("which writes it", write("b", granularity="location")),
    "KG105": ("the same --mesh-granularity", write("b", granularity="location")),
    "KG201": ("a pod CIDR of its own", pods("b", "10.42.2.0/24")),
    "KG203": ("renumber one", allow("laptop", FREE)),
    "KG204": ("a larger --subnet", larger_subnet),
    "KG205": ("a larger --subnet", larger_subnet),
    "KG206": ("check again", write("a", wireguard_ip="10.4.0.1/16")),
    "KG207": ("the same --subnet", same_subnet),
    "KG217": ("one family", one_family),
    "KG308": ("remove it from", write("a", allowed_location_ips="")),
    "KG320": ("agents have written who leads", write("a-1", wireguard_ip="10.4.0.1/16")),
    "KG401": ("kubectl edit", allow("laptop", FREE)),
    "KG405": ("name the networks", allow("laptop", "10.99.1.0/24")),
    "KG406": ("an address of a host", allow("laptop", FREE)),
    "KG413": ("correct the manifest", spelt_right),
    "KG419": ("correct or remove it", known_end),
    "KG501": ("see the findings on the nodes", heard_again),
    "KG503": ("kubectl apply -f", version_of_kilo),
    "KG504": ("to only one", allow("office", FREE)),
    "KG606": ("a key of its own", write("e2", key=key("new"))),
}
"""By rule, what its remedy says beside what it names, and what becomes of the objects then."""

ELSEWHERE = {
    "KG010": "a cluster without nodes has no case: tests/api/test_live_check.py",
    "KG216": "kgctl is to be given a flag, which the case is run with here",
    "KG502": "tests/api/test_live_check.py installs the CRD",
    **{
        rule.code: "about a machine: tests/diagnosis/test_own_agent.py"
        for rule in ALL_RULES
        if isinstance(rule, NodeRule)
    },
}
FLAGS = {"KG216": ("--topology-label", "example.com/site")}


def test_each_rule_has_its_remedy_tried_in_one_way() -> None:
    known = [*COMMANDS, *EDITS, *ELSEWHERE]
    assert sorted(known) == [rule.code for rule in ALL_RULES]


# --- cases ---

LINKS = {rule.code for rule in ALL_RULES if isinstance(rule, LinkRule)}
SIDES = ("west", "east")


def case(code: str, side: str = "") -> Objects:
    if code == "KG505":  # a name is looked up by whoever asks, so this rule has no file of its own
        objects = case("KG411")
        annotate(objects, "a", endpoint="a.example.invalid:51820")
        return objects
    pair = HERE / "pairs" / f"{code}-trips" / f"{side}.yaml"
    path = pair if side else HERE / "cases" / f"{code}-trips.yaml"
    return list(yaml.safe_load_all(path.read_text()))


def by_hand(objects: Objects) -> Objects:
    """Return the objects with links that a person made: no label, and another name."""
    for one in objects:
        if one["metadata"]["name"].startswith("link-"):
            one["metadata"] = {"name": one["metadata"]["name"].replace("link", "hand")}
    return objects


def checked(answer: Answer) -> Findings:
    assert answer.code in (0, 1), answer.stderr
    findings: Findings = json.loads(answer.stdout)["findings"]
    return findings


def about(findings: Findings, code: str) -> Findings:
    return [one for one in findings if one["code"] == code]


def errors(findings: Findings) -> set[tuple[str, str, str]]:
    return {
        (one.get("cluster", ""), one["code"], one["name"])
        for one in findings
        if one["severity"] == "error"
    }


def assert_mended(code: str, before: Findings, after: Findings) -> None:
    assert not about(after, code)
    assert errors(after) <= errors(before)


# --- remedies that no command carries out ---


def on_files(directory: Path, code: str, clusters: Mapping[str, Objects], *flags: str) -> Findings:
    names = []
    for name, objects in clusters.items():
        path = directory / f"{name or 'cluster'}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        names += ["--cluster" if name else "-f", str(path)]
    at = ("--at", "newest") if code in LINKS else AT
    flags += CHECKED_WITH.get(code, ())
    return checked(kgctl("check", "-o", "json", *names, *at, *flags))


@pytest.mark.parametrize("code", EDITS)
def test_what_the_remedy_describes_mends_the_case(tmp_path: Path, code: str) -> None:
    words, edit = EDITS[code]
    sides = SIDES if code in LINKS else ("",)
    clusters = {side: case(code, side) for side in sides}
    before = on_files(tmp_path, code, clusters)
    found = about(before, code)
    assert found
    assert all(words in one["remedy"] or "edit " in one["remedy"] for one in found)
    assert not any(list(writes(one["remedy"])) for one in found), "it has a command: COMMANDS"
    for side, objects in clusters.items():
        if side != "west":
            edit(objects)
    assert_mended(code, before, on_files(tmp_path, code, clusters))


@pytest.mark.parametrize("code", FLAGS)
def test_the_flag_that_the_remedy_names_mends_the_case(tmp_path: Path, code: str) -> None:
    before = on_files(tmp_path, code, {"": case(code)})
    assert all(" ".join(FLAGS[code]) in one["remedy"] for one in about(before, code))
    assert_mended(code, before, on_files(tmp_path, code, {"": case(code)}, *FLAGS[code]))


# --- remedies that a command carries out ---

_COMMAND = re.compile(
    r"(?:kgctl (?:peer (?:set|rotate|rm|prune)|node set|link)|kubectl (?:annotate|label)) .*?"
    r"(?=$|; | && |, or |\)|: )"
)


def writes(remedy: str) -> Iterator[str]:
    """Yield the commands of a remedy that change a cluster."""
    return (found[0] for found in _COMMAND.finditer(remedy))


class Live:
    """The API servers that hold a case, and the commands that are run on them."""

    def __init__(
        self,
        code: str,
        servers: Mapping[str, ApiServer],
        directory: Path,
        change: Callable[[Objects], Objects] = list,
    ) -> None:
        self.code, self.servers, self.directory = code, servers, directory
        self.kubeconfig = directory / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(joined(servers)))
        for side, server in servers.items():
            server.clear()
            objects = change(case(code, side))
            server.apply(objects)
            nodes = sum(one["kind"] == "Node" for one in objects)
            await_(lambda server=server, nodes=nodes: self._count(server) == nodes)  # type: ignore[misc]

    @staticmethod
    def _count(server: ApiServer) -> int:
        return len(server.request("GET", "/api/v1/nodes?resourceVersion=0")["items"])

    @property
    def _at(self) -> tuple[str, ...]:
        return ("--at", "newest") if self.code in LINKS else AT

    def check(self) -> Findings:
        contexts = [part for side in self.servers if side for part in ("--context", side)]
        options = ("--kubeconfig", str(self.kubeconfig), *contexts, *self._at)
        return checked(kgctl("check", "-o", "json", *options, *CHECKED_WITH.get(self.code, ())))

    def check_until(self, most: int) -> Findings:
        """Return the findings once at most so many are of the rule; what is read may lag."""
        deadline = time.monotonic() + 10
        while len(about(found := self.check(), self.code)) > most and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def do(self, remedy: str, side: str) -> None:
        """Run the first command of a remedy, and those that it goes on with by ``&&``."""
        commands = list(writes(remedy))
        for command in commands if " && " in remedy else commands[:1]:
            for placeholder, value in COMMANDS[self.code].items():
                command = command.replace(placeholder, value)
            assert not re.search(r"\b[A-Z]{4,}\b|…", command), command
            self._run(shlex.split(command), side)

    def _run(self, argv: list[str], side: str) -> None:
        if argv[0] == "kubectl":
            as_kubectl(self.servers[side], argv[1:])
            return
        asking = ("--yes",) if argv[1] in ("link", "node") else ()
        context = (
            ("--context", side) if side and argv[1] != "link" and "--context" not in argv else ()
        )
        options = ("--kubeconfig", str(self.kubeconfig), *context, *self._at, *asking)
        with contextlib.chdir(self.directory):
            answer = kgctl(*argv[1:], *options)
        assert answer.code == 0, (argv, answer.stderr)


def joined(servers: Mapping[str, ApiServer]) -> dict[str, Any]:
    """Return one kubeconfig with a context for each server; the current one is the first."""
    whole: dict[str, Any] = {"clusters": [], "users": [], "contexts": []}
    for side, server in servers.items():
        own = yaml.safe_load(Path(server.kubeconfig).read_text())
        name = side or "only"
        whole["clusters"].append({**own["clusters"][0], "name": name})
        whole["users"].append({**own["users"][0], "name": name})
        whole["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    return {**whole, "kind": "Config", "current-context": whole["contexts"][0]["name"]}


def as_kubectl(server: ApiServer, words: list[str]) -> None:
    """Do what ``kubectl annotate|label KIND NAME [--overwrite] KEY=VALUE... KEY-...`` does."""
    field = {"annotate": "annotations", "label": "labels"}[words[0]]
    kind = words[1]
    names: list[str] = []
    changes: list[str] = []
    for word in words[2:]:
        target = changes if "=" in word or word.endswith("-") else names
        if word != "--overwrite":
            target.append(word)
    assert names, words
    for name in names:
        path = f"{RESOURCES['Node' if kind == 'node' else 'Peer']}/{name}"
        one = server.request("GET", path)
        values = one["metadata"].setdefault(field, {})
        for change in changes:
            text, equals, value = change.partition("=")
            if not equals:
                values.pop(text.removesuffix("-"), None)
                continue
            assert "--overwrite" in words or text not in values
            values[text] = value
        server.request("PUT", path, one)


def await_(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def mend(live: Live, code: str) -> None:
    """Do what the findings of a rule say, one after the other, until there are none."""
    before = after = live.check()
    assert about(before, code)
    for _ in range(10):
        found = about(after, code)
        if not found:
            break
        live.do(found[0]["remedy"], found[0].get("cluster", ""))
        after = live.check_until(len(found) - 1)
    assert_mended(code, before, after)


@pytest.mark.parametrize("code", [code for code in COMMANDS if code not in LINKS])
def test_the_command_of_a_remedy_mends_the_case(
    api_server: ApiServer, tmp_path: Path, code: str
) -> None:
    mend(Live(code, {"": api_server}, tmp_path), code)


@pytest.mark.parametrize("code", [code for code in COMMANDS if code in LINKS])
def test_the_command_of_a_remedy_mends_two_clusters(
    api_server: ApiServer, other_api_server: ApiServer, tmp_path: Path, code: str
) -> None:
    mend(Live(code, {"west": api_server, "east": other_api_server}, tmp_path), code)
    other_api_server.clear()


@pytest.mark.parametrize("code", ["KG601", "KG602", "KG603"])
def test_the_command_of_a_remedy_mends_links_that_people_made(
    api_server: ApiServer, other_api_server: ApiServer, tmp_path: Path, code: str
) -> None:
    live = Live(code, {"west": api_server, "east": other_api_server}, tmp_path, by_hand)
    assert any("--adopt" in one["remedy"] for one in about(live.check(), code))
    mend(live, code)
    assert not about(live.check(), "KG607")
    other_api_server.clear()
