"""What readers of vision–language sets, and of WHU-OPT-SAR, must get right."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sets.make import (
    SARLANG_TEST,
    WHU_SHEETS,
    conversation,
    geotiff,
    grey,
    make_sar_text,
    make_sarcap,
    make_sarchat,
    make_sarlang,
    make_whu,
    message,
    written,
)
from sarknowlip.bench.dataset import Part
from sarknowlip.bench.datasets import dialogues
from sarknowlip.bench.datasets.dialogues import Saying, sayings
from sarknowlip.bench.datasets.published import Published
from sarknowlip.bench.datasets.sar_text import SarText
from sarknowlip.bench.datasets.sarcap import Sarcap
from sarknowlip.bench.datasets.sarchat import SarChat
from sarknowlip.bench.datasets.sarlang import Sarlang
from sarknowlip.bench.datasets.spoken import Even, Pictures
from sarknowlip.bench.datasets.whu_opt_sar import WhuOptSar
from sarknowlip.bench.example import Answer, Captions, Example, Label, Mask, Region
from sarknowlip.bench.metrics import BenchError
from sarknowlip.bench.tasks.answering import AnsweringTask
from sarknowlip.bench.tasks.captioning import CaptioningTask
from sarknowlip.bench.tasks.grounding import GroundingTask
from sarknowlip.bench.tasks.search import SearchTask

PARTS: tuple[Part, ...] = ("train", "test")
TEXTS = st.text('a "\\]}{[,é\n', max_size=6)


def both(dataset: Published, task: str) -> list[Example]:
    return [example for part in PARTS for example in dataset.examples(task, part)]


def answers(examples: Sequence[Example]) -> list[tuple[str, str, str]]:
    truths = [e.truth for e in examples if isinstance(e.truth, Answer)]
    return [(truth.question, truth.text, truth.kind) for truth in truths]


def captions(examples: Sequence[Example]) -> dict[str, tuple[str, ...]]:
    return {e.id: e.truth.texts for e in examples if isinstance(e.truth, Captions)}


def regions(examples: Sequence[Example]) -> list[tuple[str, list[float]]]:
    truths = [e.truth for e in examples if isinstance(e.truth, Region)]
    return [(truth.expression, truth.box.tolist()) for truth in truths]


def test_all_shapes_of_records_say_the_same(tmp_path: Path) -> None:
    expected = [Saying("a/b.png", "Is there water?", "Yes, a lot"), Saying("c.png", "", "A, b")]
    shaped = [
        [message("a/b.png", "Is there water?", "Yes, a lot"), message("c.png", "", "A, b")],
        [conversation("a/b.png", ("Is there water?", "Yes, a lot")),
         conversation("c.png", ("", "A, b"))],
        [{"image": "a/b.png", "question": "Is there water?", "answer": "Yes, a lot"},
         {"filename": "c.png", "caption": "A, b", "unasked": [1, 2]}],
    ]  # fmt: skip
    for number, records in enumerate(shaped):
        assert list(sayings(written(tmp_path / f"{number}.json", records))) == expected
    tabs = tmp_path / "tabs.csv"
    tabs.write_text(
        "filepath\tquestion\tanswer\na/b.png\tIs there water?\tYes, a lot\nc.png\t\tA, b"
    )
    commas = tmp_path / "commas.csv"
    commas.write_text(
        '﻿filepath,question,answer\na/b.png,Is there water?,"Yes, a lot"\nc.png,,"A, b"\n'
    )
    assert list(sayings(tabs)) == list(sayings(commas)) == expected


def test_dialogues_of_several_turns_are_all_read(tmp_path: Path) -> None:
    told = conversation("a.png", ("One?", "1"), ("Two?", "2"))
    told["conversations"].insert(0, {"from": "system", "value": "Be brief."})
    path = written(tmp_path / "a.json", [told])
    assert list(sayings(path)) == [Saying("a.png", "One?", "1"), Saying("a.png", "Two?", "2")]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(TEXTS, TEXTS), max_size=4),
    st.integers(1, 40),
    st.sampled_from([None, 1]),
)
def test_lists_are_read_whole_in_pieces_of_any_size(
    told: list[tuple[str, str]], chunk: int, indent: int | None
) -> None:
    records = [{"image": f"{n}.png", "question": q, "answer": a} for n, (q, a) in enumerate(told)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialogues, "CHUNK", chunk)
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(records, indent=indent) + "\n", encoding="utf-8")
        found = list(sayings(path))
    assert [(s.picture, s.answer) for s in found] == [
        (f"{n}.png", " ".join(a.replace("<image>", " ").split())) for n, (_, a) in enumerate(told)
    ]


@pytest.mark.parametrize(
    ("text", "sought"),
    [
        ('[{"picture": "a.png", "caption": "b"}]', r"record 1: has none of the keys images, image"),
        (
            '[{"image": "a.png", "words": "b"}]',
            r"none of the keys answer, caption.* but image, wor",
        ),
        ('[{"image": "a.png", "messages": [{"who": "user"}]}]', r"messages without role and cont"),
        ('[{"images": [], "caption": "b"}]', r"record 1: names no picture but \[\]"),
        ('["a.png"]', "record 1: not a record"),
        ('{"image": "a.png"}', "not a JSON list of records"),
        ("", "not a JSON list of records"),
        ('[{"image": "a.png", "caption": "b"}, {"ima', "cut off or not JSON"),
        ('[{"image": "a.png", "caption": "b"}', "cut off or not JSON"),
    ],
)
def test_other_forms_are_one_line_with_file_and_key(text: str, sought: str, tmp_path: Path) -> None:
    path = tmp_path / "Caption_train.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BenchError, match=sought) as error:
        list(sayings(path))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_tables_without_a_column_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "img_caption.csv"
    path.write_text("img\tcaption\n1.tif\ta ship\n")
    with pytest.raises(BenchError, match=r"img_caption\.csv, record 1.*filename.*but img, caption"):
        list(sayings(path))
    path.write_bytes(b"filename\tcaption\n\xff\xfe\n")
    with pytest.raises(BenchError, match=r"cannot read .*img_caption\.csv"):
        list(sayings(path))


@given(st.integers(0, 200), st.integers(2, 20))
def test_things_are_kept_evenly(count: int, most: int) -> None:
    even: Even[int] = Even(most)
    for number in range(count):
        even.add(number)
    assert even.things[:1] == [0][:count]
    assert len(even.things) <= most
    assert len(even.things) >= min(count, most // 2)
    assert len(set(np.diff(even.things).tolist())) <= 1
    assert not even.things or count - even.things[-1] <= max(1, *np.diff(even.things), 1)


def test_pictures_are_found_by_the_longest_end_of_their_path(tmp_path: Path) -> None:
    for name in ("x/train/1.png", "x/test/1.png", "y/1.png", "y/-12.4_130.8.tif"):
        grey(tmp_path / name, (8, 8))
    pictures = Pictures([tmp_path / "x", tmp_path / "y", tmp_path / "absent"])
    assert pictures.find("/root/test/1.png") == tmp_path / "x" / "test" / "1.png"
    assert pictures.find("C:\\data\\train\\1.png") == tmp_path / "x" / "train" / "1.png"
    assert pictures.find("../../other/1.png") == tmp_path / "y" / "1.png"
    assert pictures.find("1.jpg") == tmp_path / "y" / "1.png", "another ending"
    assert pictures.find("-12.4_130.8") == tmp_path / "y" / "-12.4_130.8.tif", "no ending"
    assert pictures.find("2.png") is None
    assert pictures.find("") is None


def test_sarlang_keeps_captions_together_and_places_apart(tmp_path: Path) -> None:
    make_sarlang(tmp_path)
    sarlang = Sarlang.open(tmp_path)
    asked = captions(sarlang.examples("captioning", "test"))
    assert asked == captions(sarlang.examples("search", "test"))
    assert asked == {
        f"SARimages-{name}.png": (
            f"A harbor with {n + 2} piers test.",
            f"Large test buildings {n} near a river.",
            "Ships at sea.",
        )
        for n, name in enumerate(SARLANG_TEST)
    }
    assert set(sarlang.groups) >= {
        "France_Alpes-Maritimes_Nice (train)", "France_Alpes-Maritimes_Nice (test)", "USA_Ohio",
        "SV_Darwin", "SARimages-train1.jpg",
    }  # fmt: skip
    assert sarlang.notes == ("1 scenes have pictures on both sides",)
    assert Counter(kind for *_, kind in answers(sarlang.examples("answering", "test"))) == {
        "count": 2, "presence": 2, "position": 2, "region": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("The classes are: tank, car. How many cars?", "count"),
        ("Which category is in the image?", "category"),
        ("What object in area [12, 4, 50, 60]?", "region"),
        ("Where are most bridges?", "position"),
        ("Does the road cross the river?", "presence"),
        ("In what shape is the field?", "other"),
    ],
)
def test_sarlang_tells_kinds_of_questions(question: str, kind: str) -> None:
    assert Sarlang.card.kind(question) == kind


def test_sarlang_without_pictures_of_detection_leaves_that_list_out(tmp_path: Path) -> None:
    make_sarlang(tmp_path, detection=False)
    sarlang = Sarlang.open(tmp_path)
    assert Counter(kind for *_, kind in answers(both(sarlang, "answering"))) == {
        "count": 5, "presence": 5,
    }  # fmt: skip
    left_out = [note for note in sarlang.notes if "left out" in note]
    assert [note.split()[0] for note in left_out] == ["SARVQA1_test.json", "SARVQA1_train.json"]


def test_a_list_that_lacks_some_pictures_is_refused(tmp_path: Path) -> None:
    make_sarlang(tmp_path)
    (tmp_path / "SARLANG-1M" / "SARimages" / "test2.jpg").unlink()
    with pytest.raises(BenchError, match=r"/else/test2\.jpg, which SARVQA1_test\.json names") as e:
        Sarlang.open(tmp_path)
    assert "\n" not in str(e.value)


def test_a_picture_in_both_parts_is_asked_alone(tmp_path: Path) -> None:
    make_sarlang(tmp_path)
    path = tmp_path / "SARLANG-1M" / "Text" / "VQA" / "train" / "SARVQA2_train.json"
    held = json.loads(path.read_text(encoding="utf-8"))
    written(path, [*held, message(f"{SARLANG_TEST[1]}.png", "How many roads?", "3")])
    sarlang = Sarlang.open(tmp_path)
    assert "1 pictures that lists name in both parts are asked about alone" in sarlang.notes
    assert ("How many roads?", "3", "count") in answers(sarlang.examples("answering", "test"))
    assert "How many roads?" not in {q for q, *_ in answers(sarlang.examples("answering", "train"))}


def test_empty_answers_are_counted_and_left_out(tmp_path: Path) -> None:
    make_sarlang(tmp_path)
    path = tmp_path / "SARLANG-1M" / "Text" / "VQA" / "test" / "SARVQA2_test.json"
    held = json.loads(path.read_text(encoding="utf-8"))
    held[0]["messages"][1]["content"] = " "
    written(path, held)
    sarlang = Sarlang.open(tmp_path)
    assert "SARVQA2_test.json: 1 of 4 texts tell nothing asked here" in sarlang.notes
    assert len(sarlang.examples("answering", "test")) == 7


def test_large_sets_are_thinned_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sarlang(tmp_path)
    monkeypatch.setattr(Sarlang, "card", Sarlang.card.model_copy(update={"most": 2}))
    sarlang = Sarlang.open(tmp_path)
    for part in PARTS:
        kinds = Counter(kind for *_, kind in answers(sarlang.examples("answering", part)))
        assert set(kinds) == {"count", "presence", "position", "region"}
        assert max(kinds.values()) == 2
        assert len(sarlang.examples("search", part)) == 2


def test_sarcap_parts_sentences_from_boxes(tmp_path: Path) -> None:
    make_sarcap(tmp_path)
    sarcap = Sarcap.open(tmp_path)
    told = captions(both(sarcap, "captioning"))
    assert sorted(told) == [f"img-{n:03}.tif" for n in (1, 2, 5, 6)]
    assert told["img-001.tif"] == (
        "this SAR image shows a river .", "a solitary bridge occupies the core of the scene .",
    )  # fmt: skip
    pointed = [("the ship", [5, 6, 20, 30]), ("the ship", [30, 2, 40, 9])]
    assert sorted(regions(both(sarcap, "grounding"))) == sorted(2 * pointed), (
        "of two tanks neither, and a box that sticks out is cut"
    )


def test_sarcap_reads_the_sample_beside_the_code(tmp_path: Path) -> None:
    root = tmp_path / "SARCAP"
    rows = ["filename\tcaption"]
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (3, 24, 20), np.uint8)
        geotiff(root / "retrieval" / f"{number}.tif", pixels)
        text = f"ship {number} 2 9 9 ." if number % 2 else f"there are {number} bridges ."
        rows.append(f"./data/retrieval/{number}.tif\t{text}")
    (root / "retrieval_file_list.csv").write_text("\n".join(rows), encoding="utf-8")
    sarcap = Sarcap.open(tmp_path)
    assert len(both(sarcap, "search")) == len(both(sarcap, "grounding")) == 2
    assert both(sarcap, "search")[0].image().db.shape == (1, 24, 20), "the first of three bands"


def test_sar_text_deals_scenes_and_reads_no_optical_pictures(tmp_path: Path) -> None:
    make_sar_text(tmp_path)
    text = SarText.open(tmp_path)
    scenes = {g for g in text.groups if g.startswith("ROIs")}
    assert scenes == {"ROIs1158_spring_s1_10", "ROIs1158_spring_s1_11"}
    assert len(both(text, "captioning")) == 8
    assert Counter(kind for *_, kind in answers(both(text, "answering"))) == {
        "presence": 8, "count": 8,
    }  # fmt: skip
    assert not any("optical" in example.id for example in both(text, "answering"))
    for part in PARTS:
        about = {example.id.rsplit("-q", 1)[0] for example in text.examples("answering", part)}
        assert about == set(captions(text.examples("search", part))), "by whatever path"


def test_sar_text_without_dialogues_says_so(tmp_path: Path) -> None:
    make_sar_text(tmp_path)
    (tmp_path / "SAR-TEXT-data" / "SAR-VQA_conv.json").unlink()
    text = SarText.open(tmp_path)
    assert text.notes == ("no texts for answering",)
    assert both(text, "answering") == []


def test_pictures_of_no_published_part_follow_their_scene(tmp_path: Path) -> None:
    make_sar_text(tmp_path)
    root = tmp_path / "SAR-TEXT-data"
    held = (root / "annotations_SEN12.csv").read_text(encoding="utf-8").splitlines()
    for part, line in (("train", held[1]), ("test", held[3])):
        (root / f"SARTEXT{part}.csv").write_text(f"{held[0]}\n{line}\n", encoding="utf-8")
    text = SarText.open(tmp_path)
    for part, scene in (("train", 10), ("test", 11)):
        asked = captions(text.examples("search", part))
        own = {name for name in asked if "ROIs" in name}
        assert own == {f"SEN12-ROIs1158_spring_s1_{scene}_p{n}.png" for n in (1, 2)}
        about = {e.id.removesuffix("-q0") for e in text.examples("answering", part)}
        assert own == {name for name in about if "ROIs" in name and "-q" not in name}
    assert text.notes == ("4 pictures of no published part are dealt by their scenes",)


def test_sarchat_reads_each_task_by_its_mark(tmp_path: Path) -> None:
    make_sarchat(tmp_path)
    chat = SarChat.open(tmp_path)
    for part, numbers in (("train", range(4)), ("test", range(4, 7))):
        kinds = [("ship", "tank")[n % 2] for n in numbers]
        labels = [e.truth for e in chat.examples("zero-shot", part)]
        assert labels == [Label(chat.classes.index(kind)) for kind in kinds]
        told = list(captions(chat.examples("captioning", part)).values())
        assert told == [
            (f"One can spot a small {kind} at the top {n}.",)
            for n, kind in zip(numbers, kinds, strict=True)
        ]
        assert sorted(answers(chat.examples("answering", part))) == sorted(
            [("How many " + kind + "s are there?", "2", "count") for kind in kinds]
            + [("What is at {<1><2><10><12>}?", kind, "identify") for kind in kinds]
        )
        assert regions(chat.examples("grounding", part)) == [
            (f"Where is the {kind}?", [10.0, 20.0, 30.0, 48.0]) for kind in kinds
        ], "one box alone, cut at a picture of 48 rows"
    assert (
        "SARChat_classify_refer_multi_test.json: 3 of 3 texts tell nothing asked here" in chat.notes
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("There is 1 instance. {<1><2><3><4>}", ["1"]),
        ("{<1><2><3><4>}{<5><6><7><8>}", ["2"]),
        ("None that I can see.", []),
    ],
)
def test_sarchat_counts(answer: str, expected: list[str]) -> None:
    saying = Saying("a.png", "[count] How many ships?", answer)
    listed = SarChat.card.lists[1]
    truths = list(SarChat.understood(listed, "sarchat_classify_count_test", saying))
    assert [truth.text for truth in truths if isinstance(truth, Answer)] == expected


def test_sarchat_classes_with_several_names_are_left_out() -> None:
    listed = SarChat.card.lists[1]

    def understood(name: str, question: str, answer: str) -> list[Any]:
        return list(SarChat.understood(listed, name, Saying("a.png", question, answer)))

    name = "sarchat_classify_test"
    assert understood(name, "Which class?", "Ships and a bridge") == []
    assert understood(name, "Which class?", "Cargo of cars") == [Label(2)]
    assert understood("sarchat_describe_test", "Tell me.", "A harbor.") == [
        Captions(("A harbor.",))
    ]


def test_language_sets_serve_their_tasks(tmp_path: Path) -> None:
    make_sarchat(tmp_path)
    chat = SarChat.open(tmp_path)
    for task in (SearchTask(), CaptioningTask(), AnsweringTask(), GroundingTask()):
        scores = task.measure(chat, task.perfect(chat)).whole()
        assert scores[0] == pytest.approx(1.0), task.spec.name


def mask(example: Example) -> np.ndarray:
    assert isinstance(example.truth, Mask)
    return example.truth.read()


def test_whu_opt_sar_reads_the_published_split_and_classes(tmp_path: Path) -> None:
    make_whu(tmp_path)
    whu = WhuOptSar.open(tmp_path)
    first, second = whu.examples("segmentation", "test")
    assert (first.id, second.id) == (f"{WHU_SHEETS[2]}-r0-c0", f"{WHU_SHEETS[2]}-r44-c0")
    assert {e.group for e in whu.examples("segmentation", "train")} == set(WHU_SHEETS[:2])
    np.testing.assert_array_equal(mask(first), np.repeat(np.arange(256)[:, None] % 8 - 1, 256, 1))
    assert (mask(second)[: 256 - 44] == -1).all(), "rows of the window before"
    np.testing.assert_array_equal(mask(second)[256 - 44 :, 0], np.arange(256, 300) % 8 - 1)
    assert whu.notes == ()
    assert len(set(WhuOptSar.card.asked)) == 20


def test_whu_opt_sar_deals_a_sample_of_one_part(tmp_path: Path) -> None:
    make_whu(tmp_path)
    for folder in ("sar", "lbl"):
        (tmp_path / "WHU-OPT-SAR" / folder / f"{WHU_SHEETS[2]}.tif").unlink()
    whu = WhuOptSar.open(tmp_path)
    assert len(whu.notes) == 1
    assert all(whu.examples("segmentation", part) for part in PARTS)


@pytest.mark.parametrize("number", [7, 80, 255])
def test_whu_opt_sar_refuses_other_numbers(number: int, tmp_path: Path) -> None:
    make_whu(tmp_path)
    path = tmp_path / "WHU-OPT-SAR" / "lbl" / f"{WHU_SHEETS[2]}.tif"
    geotiff(path, np.full((1, 300, 256), number, np.uint8))
    with pytest.raises(BenchError, match=rf"{WHU_SHEETS[2]}\.tif: {number} is no class"):
        mask(WhuOptSar.open(tmp_path).examples("segmentation", "test")[0])
