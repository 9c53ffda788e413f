"""What generated requests cannot guess: keys of principals, ids and versions that exist, commands that are legal. Owns nothing of the
judgement; it only makes some of the valid requests meaningful, and writes down which operations succeeded."""

import atexit
import itertools
import json
import os
import urllib.request

import schemathesis

KNOWN = json.load(open(os.environ["KONTOR_INTERFACE"]))
KEYS = KNOWN["keys"]
ASKED = ("listContributions", "showContribution", "commandContribution", "draftStatement", "attachFiles",
         "readContributionFile", "settleParkedContribution", "admitAdviser")
ROLE = {"handIn": "form service", "listDisclosures": "officer", "showPerson": "officer", "listAdvice": "adviser",
        "readAdviceFile": "adviser", **{name: "coordinator" for name in ASKED}}
SUCCEEDED, STATUSES = {}, {}
turns = {name: itertools.cycle(ids) for name, ids in KNOWN["ids"].items()}
turn = itertools.count()


def page(path, key="worker"):
    request = urllib.request.Request(KNOWN["url"] + path, headers={"authorization": "Bearer " + KEYS[key]})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def operation(case):
    return case.operation.definition.raw["operationId"]


def is_valid(case):
    meta = case.meta
    if meta is None:
        return True
    modes = [meta.generation.mode, *(component.mode for component in meta.components.values())]
    return all(mode.name == "POSITIVE" for mode in modes)


def at(case_, path, key="worker", **parameters):
    """Aims a request at something that is there, decided on its version."""
    case_.path_parameters = {**(case_.path_parameters or {}), **parameters}
    there = page(path, key)
    case_.headers["If-Match"] = '"%d"' % there["version"]
    return there


def some_case(case):
    one = next(turns["cases"])
    return at(case, "/api/v1/cases/" + one, case=one)


def transfer_command(case):
    one = next(turns["offers"])
    there = page("/api/v1/transfers/" + one)
    wanted = {
        "OFFERED": itertools.cycle(
            [
                ("query", {"question": "WHY_US"}),
                ("accept", {}),
                ("refuse", {"reason": "NOT_COMPETENT_PLACE"}),
                ("dispute", {}),
            ]
        ),
        "IMPORTED": itertools.cycle([("take-over", {})]),
        "TAKEN_OVER": itertools.cycle([("tell-number", {"number": "F-1"})]),
        "CLOSED": itertools.cycle([("tell-number", {"number": "F-1"})]),
    }.get(there["state"])
    if wanted is None:
        return
    command, body = [next(wanted) for _ in range(1 + next(turn) % 4)][-1]
    case.path_parameters = {"transfer": one, "command": command}
    case.headers["If-Match"] = '"%d"' % there["version"]
    case.body = body


def changed(case):
    some_case(case)
    if next(turn) % 2:
        case.body = {"change": "reference", "reference": "AZ 1 (fiktiv)"}


def commanded(case):
    there = some_case(case)
    legal = [name for name in there["commands"] if name not in ("delete", "mark_for_deletion")]
    if legal:
        case.path_parameters["command"] = legal[next(turn) % len(legal)]


def offered(case):
    some_case(case)
    case.body = {"to": KNOWN["other"], "situation": "MISDIRECTED", "confirmed": True}


def dossier(case):
    some_case(case)
    if next(turn) % 2:
        case.body = {"payment": None, "messages": [], "of_this_system": {"fictional": True}}


def person(case):
    case.path_parameters = {"pseudonym": page("/api/v1/me")["pseudonym"]}


def exported(case):
    one = next(turns["uncertain"])
    at(case, "/api/v1/cases/" + one, case=one)
    case.body = {"is_there": True}


def read_file(case):
    one = next(turns["cases"])
    files = page("/api/v1/cases/%s/files" % one)["files"]
    if files:
        case.path_parameters = {"case": one, "file": files[0]["file_id"]}


def only(kind, name):
    def aim(case):
        case.path_parameters = {name: next(turns[kind])}

    return aim


def parked(case):
    case.path_parameters = {"transfer": next(turns["parked"]), "what": ["retry", "void"][next(turn) % 2]}


def shown_to(case):
    return {"parts": [{"at": [0], "right": "VIEW"}], "purpose": "fiktiv", "legal_basis": "fiktiv"}


def round_of(case):
    some_case(case)
    case.body = {"profile": "AMTSHILFE", "question": "Was ist bekannt? (fiktiv)", "contact": "Bauamt"}


def asked(case):
    one = next(turns["rounds"])
    at(case, "/api/v1/rounds/" + one, round=one)
    unit = "u-%d" % next(turn)
    case.body = {"unit": unit, "class": "AUTHORITY", "rule": {"kind": "weeks", "n": 3}, "disclosure": shown_to(case)}


def round_command(case):
    one = next(turns["open_rounds"])
    there = at(case, "/api/v1/rounds/" + one, round=one)
    if there["legal"]:
        case.path_parameters["command"] = there["legal"][next(turn) % len(there["legal"])]
        case.body = {"reason": "OTHER"}


REQUEST_BODIES = {
    "extend": {"rule": {"kind": "weeks", "n": 1}},
    "revoke": {"reason": "NO_LONGER_NEEDED"},
    "supplement": {"disclosure": shown_to(None)},
    "assess": {"assessment": {"version": 1, "treated": [{"treatment": 5000}]}},
}


def request_command(case):
    one = next(turns["requests"])
    there = at(case, "/api/v1/requests/" + one, request=one)
    legal = [name for name in there["legal"] if name in REQUEST_BODIES or name in ("notify", "stop-clock", "continue-clock")]
    if legal:
        command = legal[next(turn) % len(legal)]
        case.path_parameters["command"] = command
        case.body = REQUEST_BODIES.get(command, {})


CONTRIBUTION_BODIES = {
    "acknowledge": {"reference": "K-1"},
    "prepare": {},
    "ask": {"text": "Welche? (fiktiv)"},
    "ask-for-time": {"until": "2098-01-15", "extension_reason": "WORKLOAD"},
    "assign": {"unit": "u-1"},
}


def contribution_command(case):
    one = next(turns["contributions"])
    there = at(case, "/api/v1/contributions/" + one, "coordinator", request=one)
    legal = [name for name in there["legal"] if name in CONTRIBUTION_BODIES]
    if legal:
        command = legal[next(turn) % len(legal)]
        case.path_parameters["command"] = command
        case.body = CONTRIBUTION_BODIES[command]


def contribution(case):
    one = next(turns["contributions"])
    at(case, "/api/v1/contributions/" + one, "coordinator", request=one)


def drafted(case):
    contribution(case)
    case.body = {"kind": "NO_OBJECTION", "author": "Referat (fiktiv)"}


def disclosed_file(case):
    one = next(turns["contributions"])
    sheet = page("/api/v1/contributions/" + one, "coordinator")["received"][0]["letter"]["document"]
    case.path_parameters = {"request": one, "file": sheet["files"][0]["file_id"]}
    case.query = {"copy": "true"}


def admitted(case):
    one = next(turns["contributions"])
    there = at(case, "/api/v1/contributions/" + one, "coordinator", request=one)
    sheet = there["received"][0]["letter"]["document"]
    case.body = {"pseudonym": page("/api/v1/me", "adviser")["pseudonym"], "files": [sheet["files"][0]["file_id"]], "until": "2098-12-31"}
    if next(turn) % 3 == 0:
        case.body["files"] = []


def advice_file(case):
    for one in page("/api/v1/advice", "adviser")["advice"]:
        if one["files"]:
            case.path_parameters = {"request": one["request"], "file": one["files"][0]["file_id"]}


def answered_file(case):
    one = next(turns["answered"])
    came = [m for m in page("/api/v1/requests/" + one)["received"] if m["kind"] == "statement"]
    case.path_parameters = {"request": one, "file": came[0]["letter"]["files"][0]["file_id"]}


def invited(case):
    one = next(turns["guests"])
    at(case, "/api/v1/requests/" + one, request=one)


guest_turns = itertools.cycle(KNOWN["invited"])


def as_guest(case):
    one = next(guest_turns)
    case.headers["Authorization"] = "Bearer " + one["code"]
    request = urllib.request.Request(KNOWN["url"] + one["path"], headers={"authorization": "Bearer " + one["code"]})
    with urllib.request.urlopen(request, timeout=10) as answer:
        there = json.load(answer)
    case.path_parameters = {**(case.path_parameters or {}), "link": one["path"].rsplit("/", 1)[1]}
    case.headers["If-Match"] = '"%d"' % there["version"]
    return there


def guest_command(case):
    there = as_guest(case)
    legal = [name for name in there["legal"] if name in ("acknowledge", "prepare", "ask")]
    if legal:
        command = legal[next(turn) % len(legal)]
        case.path_parameters["command"] = command
        case.body = CONTRIBUTION_BODIES[command]


def guest_draft(case):
    as_guest(case)
    case.body = {"kind": "NO_OBJECTION", "author": "Vorstand (fiktiv)"}


def guest_file(case):
    there = as_guest(case)
    case.path_parameters["file"] = there["received"][0]["letter"]["document"]["files"][0]["file_id"]
    case.query = {"copy": "true"}


def parked_of(kind):
    def aim(case):
        case.path_parameters = {"request": next(turns[kind]), "what": "retry"}

    return aim


AIM = {
    "prepareRound": round_of,
    "listRounds": only("cases", "case"),
    "participationNotice": only("cases", "case"),
    "showRound": only("rounds", "round"),
    "askInRound": asked,
    "commandRound": round_command,
    "showRequest": only("requests", "request"),
    "commandRequest": request_command,
    "inviteGuest": invited,
    "settleParkedRequest": parked_of("parked_requests"),
    "readRequestFile": answered_file,
    "showContribution": only("contributions", "request"),
    "commandContribution": contribution_command,
    "draftStatement": drafted,
    "attachFiles": contribution,
    "readContributionFile": disclosed_file,
    "settleParkedContribution": parked_of("parked_contributions"),
    "admitAdviser": admitted,
    "readAdviceFile": advice_file,
    "guestShows": as_guest,
    "guestCommands": guest_command,
    "guestDrafts": guest_draft,
    "guestAttaches": as_guest,
    "guestReads": guest_file,
    "showCase": only("cases", "case"),
    "showForm": only("cases", "case"),
    "showDossier": only("cases", "case"),
    "putDossier": dossier,
    "addFiles": some_case,
    "showPerson": person,
    "listFiles": only("cases", "case"),
    "suggestRecipients": only("cases", "case"),
    "readFile": read_file,
    "commandCase": commanded,
    "assignCase": some_case,
    "changeCase": changed,
    "settleExport": exported,
    "addLateItem": only("handed_over", "case"),
    "offerCase": offered,
    "previewOffer": offered,
    "showTransfer": only("offers", "transfer"),
    "commandTransfer": transfer_command,
    "settleParked": parked,
    "noticeText": only("taken_over", "transfer"),
}


@schemathesis.hook
def before_call(context, case, kwargs):
    name = operation(case)
    case.headers = dict(case.headers or {})
    case.headers["Authorization"] = "Bearer " + KEYS[ROLE.get(name, "worker")]
    # A feed that is followed never ends.
    if name == "followEvents" and is_valid(case):
        case.query = {**(case.query or {}), "until_quiet": "true"}
        case.query.pop("after", None)
    if not is_valid(case) or next(turn) % 2:
        return
    if name in AIM:
        AIM[name](case)
    if name in ("suggestRecipients", "listCases", "listTransfers", "listRequests", "listContributions"):
        case.query = {}
    if name == "handIn":
        form = dict(KNOWN["form"])
        form["control"] = {**form["control"], "transactionId": "00000000-0000-4000-8000-%012x" % next(turn)}
        case.body = {"formData": form, "attachment": ["fiktiv"]}
    if name == "addFiles":
        case.body = {"decision": ["fiktiv"]}
    if name == "addFiles":
        case.query = {}
    if name in ("addLateItem", "attachFiles", "guestAttaches"):
        case.body = {"attachment": ["fiktiv"]}


@schemathesis.hook
def after_call(context, case, response):
    name = operation(case)
    STATUSES.setdefault(name, {}).setdefault(str(response.status_code), 0)
    STATUSES[name][str(response.status_code)] += 1
    if response.status_code < 300:
        SUCCEEDED[name] = SUCCEEDED.get(name, 0) + 1


@atexit.register
def told():
    with open(os.environ["KONTOR_INTERFACE"] + ".seen", "w") as out:
        json.dump({"succeeded": SUCCEEDED, "statuses": STATUSES}, out)
