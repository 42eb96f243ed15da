"""Rung 4: central Helsinki end to end: simulated from its map, built, annotated, read by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sarknowlip.annotate.pipeline import annotate
from sarknowlip.annotate.store import CLAIMS, MANIFEST, TEXTS
from sarknowlip.annotate.tile import AnnotateConfig
from sarknowlip.corpus.build import BuildConfig, build
from sarknowlip.corpus.catalog import ANNOTATIONS
from sarknowlip.geo.grid import GridConfig
from sarknowlip.knowledge.sources import SourceOptions
from sarknowlip.simulate.city import SimulationConfig, simulate
from sarknowlip.simulate.world.osm import OsmWorldConfig

Said = dict[str, Any]

STATION, CATHEDRAL = "Helsingin päärautatieasema", "Helsingin tuomiokirkko"
PARK, GARDEN = "Kaisaniemen puisto", "Kaisaniemen kasvitieteellinen puutarha"

TRUE: list[tuple[str, Said]] = [
    # Common knowledge: the extract is the centre of Finland's capital.
    ("city", {"name": "Helsinki", "country": "Finland"}),
    # Nodes `place` of the extract: suburb at 24.9473, 60.1708; 24.9515, 60.1787; 24.9472, 60.1652.
    ("place_name", {"kind": "suburb", "name": "Kluuvi"}),
    ("place_name", {"kind": "suburb", "name": "Kaartinkaupunki"}),
    # The square before the railway station, and the one below the cathedral: place=square.
    ("place_name", {"kind": "square", "name": "Rautatientori"}),
    ("place_name", {"kind": "square", "name": "Senaatintori"}),
    # leisure=park: the park between Pohjois- and Eteläesplanadi; the one by the Old Church.
    ("named_region", {"function": "park", "name": "Esplanadinpuisto"}),
    ("named_region", {"function": "park", "name": "Vanha kirkkopuisto"}),
    ("named_region", {"function": "park", "name": PARK}),
    # amenity=university: the main buildings lie west of Senate Square.
    ("named_region", {"function": "education", "name": "Helsingin yliopisto"}),
    # natural=coastline: the bays of Kaisaniemi and Eläintarha reach into the north of the extract,
    # bridged by Pitkäsilta.
    ("water_body", {"water": "sea"}),
    ("coast", {"direction": "north"}),
    # No aeroway, no landuse=farmland and no forest in the extract.
    ("function_unmapped", {"function": "airport"}),
    ("function_unmapped", {"function": "farmland"}),
    # Counted with osmium: 74 areas with the key building have their centroid in the tile.
    ("buildings", {"count": 74}),
    # Smallest rectangle around man_made=bridge "Pitkäsilta", in UTM: 56 m by 24 m, and it runs
    # from Siltavuori north to Hakaniemi.
    ("object_size", {"a_name": "Pitkäsilta", "length_m": 55, "width_m": 25}),
    ("object_axis", {"a_name": "Pitkäsilta", "bearing_deg": 0}),
    # Tagged: height=12.13 m.
    ("object_height", {"a_name": "Kampin kappeli", "height_m": 12}),
    # The station's clock tower is 48.5 m high (common knowledge); tagged height=48.
    ("object_height", {"a_name": "Rautatieaseman kellotorni", "height_m": 48}),
    # The glasshouses stand in the university's botanical garden.
    ("inside", {"a_kind": "greenhouse", "b_name": GARDEN}),
    # The tracks to the station run along the park.
    ("adjacent", {"a_name": PARK, "b_kind": "rail"}),
    # The Bank of Finland (386374, 6672236) stands at Snellmaninaukio, north of the cathedral.
    ("direction", {"a_name": CATHEDRAL, "b_name": "Suomen Pankki", "direction": "south"}),
    # The cathedral and Holy Trinity church behind it, 100 m to the north.
    ("object_count", {"kind": "church", "count": 2}),
]

FALSE: list[tuple[str, Said]] = [
    # The cathedral is 62 m high; its outline is tagged with 13 m.
    ("object_height", {"a_name": CATHEDRAL}),
    # Two storeys and an attic are no height of the Old Church.
    ("object_height", {"a_name": "Vanha kirkko"}),
    # Trams are no railways: there are none south of the station.
    ("network", {"network": "railways", "length_km": 1.9}),
    # What lies beyond the extract.
    ("city", {"name": "Espoo"}),
    ("place_name", {"name": "Kallio"}),
    ("place_name", {"name": "Kruununhaka"}),
    # The water is brackish, but the sea.
    ("water_body", {"water": "lake"}),
    ("water_body", {"water": "river"}),
    ("coast", {"direction": "south"}),
    # There is a park, a railway, a square.
    ("function_unmapped", {"function": "park"}),
    ("function_unmapped", {"function": "commercial"}),
    ("function_share", {"function": "airport"}),
    ("function_share", {"function": "forest"}),
    ("function_share", {"function": "farmland"}),
    ("function_share", {"function": "port"}),
    # A map does not tell how densely people live.
    ("function_share", {"function": "dense_residential"}),
    ("function_share", {"function": "sparse_residential"}),
    # Names are those of the place.
    ("place_name", {"name": "Railway Square"}),
    ("place_name", {"name": "Senate Square"}),
    # The concourse of the underground station; a street for people on foot.
    ("place_name", {"name": "Kompassitaso"}),
    ("named_region", {"name": "Keskuskatu"}),
    # A plank of 2 m in the garden is no bridge.
    ("object_count", {"kind": "bridge", "count": 2}),
    # The wrong way round.
    ("direction", {"a_name": CATHEDRAL, "b_name": "Suomen Pankki", "direction": "north"}),
]


@pytest.fixture(scope="module")
def version(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the annotations of Sentinel-1 as it would see the extract, tiles of 480 m."""
    extract = shared_data("osm-helsinki")
    folder = tmp_path_factory.mktemp("helsinki")
    world = OsmWorldConfig(path=extract / "Helsinki.osm.pbf", seed=5)
    simulate(SimulationConfig(world=world), folder / "world")
    recipe = BuildConfig(grid=GridConfig(tile_px=48), max_nodata=0.6)
    build([folder / "world" / "products"], folder / "corpus", recipe)
    annotate(folder / "corpus", AnnotateConfig(options=SourceOptions(osm=(extract,))))
    return folder / "corpus" / ANNOTATIONS / "v0001"


@pytest.fixture(scope="module")
def claims(version: Path) -> list[tuple[str, Said]]:
    rows = pq.read_table(version / CLAIMS).to_pylist()
    return [(row["predicate"], json.loads(row["arguments"])) for row in rows]


def made(claims: list[tuple[str, Said]], predicate: str, said: Said) -> bool:
    return any(name == predicate and said.items() <= found.items() for name, found in claims)


@pytest.mark.parametrize(("predicate", "said"), TRUE)
def test_what_is_true_is_said(claims: list[tuple[str, Said]], predicate: str, said: Said) -> None:
    same = [found for name, found in claims if name == predicate]
    assert made(claims, predicate, said), same


@pytest.mark.parametrize(("predicate", "said"), FALSE)
def test_what_is_false_is_not_said(
    claims: list[tuple[str, Said]], predicate: str, said: Said
) -> None:
    assert any(name == predicate for name, _ in claims)
    assert not made(claims, predicate, said)


def test_attribution_and_names_are_in_what_is_handed_on(version: Path) -> None:
    manifest = json.loads((version / MANIFEST).read_text("utf-8"))
    assert "© OpenStreetMap contributors" in manifest["attributions"]["osm"]
    texts = " ".join(pq.read_table(version / TEXTS).column("text").to_pylist())
    for name in ("Esplanadinpuisto", PARK, "Kluuvi", "Helsinki", "Pitkäsilta"):
        assert name in texts
