import json

from agents.telemetry import Telemetry


def test_calls_are_counted_by_outcome(tmp_path):
    telemetry = Telemetry()
    telemetry.record("/chat", "200", 0.5)
    telemetry.record("/chat", "200", 0.25)
    telemetry.record("/chat", "429", 0.0)
    telemetry._file = str(tmp_path / "telemetry.jsonl")
    telemetry.write()
    (line,) = (tmp_path / "telemetry.jsonl").read_text().splitlines()
    assert json.loads(line)["calls"] == {"/chat 200": 2, "/chat 429": 1}
    assert json.loads(line)["seconds"] == {"/chat": 0.75}


def test_without_a_file_no_thread_is_started(settings):
    telemetry = Telemetry()
    telemetry.start(settings)
    assert telemetry._file == ""
