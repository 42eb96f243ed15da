"""A port drawn by hand on squared paper, and questions answered by hand from the drawing.

Coordinates are metres east and north of the sheet's south-west corner, grid north up. Nothing below
was computed by the package: each answer is followed by how it was read off.
"""

from __future__ import annotations

from math import hypot
from typing import Any

from data.world.make import HandWorld, building, layers, rectangle, region, target

R = rectangle


def scene() -> HandWorld:
    """Return the drawing: sea in the south, a port, a river in the east, fields, an airport."""
    regions = [
        region(1, R(0, 0, 2000, 2000), "grass", "grassland", "nature"),
        region(2, R(0, 0, 2000, 400), "sea", "sea", "water"),
        region(3, R(600, 400, 800, 400), "gravel", "port"),
        region(4, R(600, 400, 800, 30), "concrete", "quay", "ground", parent=3),
        region(5, R(1500, 400, 60, 1600), "inland_water", "river", "water"),
        region(6, R(0, 1000, 2000, 10), "asphalt", "road", "road", heading=90.0),
        region(7, R(100, 1100, 300, 300), "cereal", "farmland"),
        region(8, R(400, 1100, 300, 300), "cereal", "farmland"),
        region(9, R(700.8, 1100, 199.2, 300), "broadleaf_crop", "farmland"),
        region(10, R(100, 1405, 300, 195), "ploughed", "farmland"),
        region(11, R(1200, 600, 180, 180), "gravel", "tank_farm", "ground", parent=3),
        region(12, R(100, 1650, 1200, 300), "grass", "airport"),
        region(13, R(150, 1700, 1100, 45), "asphalt", "runway", "ground", 90.0, parent=12),
        region(14, R(1700, 1200, 200, 200), "inland_water", "lake", "water"),
        region(15, R(400, 1400, 100, 100), "stubble", "farmland"),
    ]
    buildings = [
        building(20, R(650, 500, 100, 40), kind="warehouse", parent=3),
        building(21, R(800, 500, 100, 40), kind="warehouse", parent=3),
        building(22, R(1490, 995, 80, 20), kind="bridge", base=6.0, parent=6),
        building(23, R(600, 1850, 100, 40), kind="terminal", parent=12),
        building(24, R(790, 610, 20, 20), kind="house", parent=3),
        building(25, R(590, 610, 20, 20), kind="house", parent=1),
    ]
    targets = [
        *(target(30 + n, "crane", 700 + 100 * n, 415, 20, 10, 60) for n in range(3)),
        target(33, "crane", 1000, 415, 20, 10, 60, heading=45.0),
        target(40, "ship", 800, 385, 120, 20, heading=90.0, subclass="cargo"),
        target(41, "ship", 1000, 380, 100, 20, heading=90.0, subclass="tanker"),
        target(42, "ship", 1250, 200, 60, 12, speed=5.0, subclass="cargo"),
        *(target(50 + n, "storage_tank", 1230 + 60 * n, 640, 40, 40) for n in range(3)),
        target(53, "storage_tank", 1230, 700, 40, 40),
        *(target(60 + n, "aircraft", 600 + 50 * n, 1800, 36, 34) for n in range(4)),
        target(64, "aircraft", 300, 1722, 36, 34, heading=90.0),
    ]
    return HandWorld(layers(*regions, *buildings, *targets))


Question = tuple[str, str, tuple[Any, ...], Any]

QUESTIONS: list[Question] = [
    # nearest
    ("ship nearest to the cargo ship at the quay", "nearest", (40, "ship"), [41]),
    #   41 starts at x = 950, 40 ends at 860: 90 m; 42 starts at x = 1244.
    ("two cranes nearest to the middle one", "nearest", (31, "crane", 2), [30, 32]),
    #   Both 100 - 5 - 5 = 90 m: the lesser uid first.
    ("crane nearest to the middle one", "nearest", (31, "crane", 1), [30]),
    ("tanks by distance from the northern one", "nearest", (53, "storage_tank", 9), [50, 51, 52]),
    #   20 m; 60 √2 - 40 = 45 m; hypot(120, 60) - 40 = 94 m; there are no more than three others.
    ("region nearest to the lake", "nearest", (14, "region"), [1]),
    #   It lies in the grassland: 0 m.
    ("nearest wind turbine", "nearest", (14, "wind_turbine"), []),
    # distance
    ("cargo ship to quay", "distance", (40, 4), 5.0),
    #   400 - (385 + 10)
    ("tank to tank", "distance", (50, 51), 20.0),
    ("quay to sea, which touch", "distance", (4, 2), 0.0),
    ("cargo ship to western crane", "distance", (40, 30), hypot(35, 10)),
    #   740 - 705 east, 405 - 395 north
    # direction and cardinal cones
    ("ship under way, from the cargo ship", "direction", (40, 42), (112.348, "E")),
    #   450 east, 185 south: 90° + atan(185 / 450); E ends at 112.5°
    ("house exactly north-east of the hall", "direction", (20, 24), (45.0, "NE")),
    ("hall east of a hall", "east_of", (20, "warehouse"), [21]),
    ("hall north of a hall", "north_of", (20, "warehouse"), []),
    ("houses north of the hall", "north_of", (20, "house"), [25]),
    #   25 is exactly north-west, the edge that the northern cone owns; 24 exactly north-east.
    ("houses east of the hall", "east_of", (20, "house"), [24]),
    ("houses west of the hall", "west_of", (20, "house"), []),
    ("fields north of the port", "north_of", (3, "farmland"), [8, 9, 15, 10]),
    #   Centre (1000, 600). 7: (-750, 650) is west. 8 and 9: 300 m away each; 15: hypot(100, 600);
    #   10: hypot(200, 605).
    ("airport west of the river", "west_of", (5, "airport"), [12]),
    #   (-830, 600)
    ("ships within 900 m south of the lake", "south_of", (14, "ship", 900.0), []),
    ("ships within 1100 m south of the lake", "south_of", (14, "ship", 1100.0), [41, 42]),
    #   Centre (1800, 1300). 41: (-800, -920), hypot(650, 810) = 1039 m; 42: (-550, -1100),
    #   hypot(444, 970) = 1067 m; 40: (-1000, -915) is west.
    # inside and contains
    ("where the first tank is", "inside", (50,), [11, 3, 1]),
    ("where the cargo ship is", "inside", (40,), [2, 1]),
    ("where the quay is: it shares its edge with the port", "inside", (4,), [3, 1]),
    ("where the grassland is", "inside", (1,), []),
    ("tanks in the port", "contains", (3, "storage_tank"), [50, 51, 52, 53]),
    ("ships in the sea", "contains", (2, "ship"), [40, 41, 42]),
    ("cranes on the quay", "contains", (4, "crane"), [30, 31, 32, 33]),
    #   33 is turned by 45°: half its extent is 30 / √8 = 10.6 m; the quay is 15 m to each side.
    ("ships in the port", "contains", (3, "ship"), []),
    # adjacent
    ("beside the first field: by an edge and by a corner", "adjacent", (7,), [8, 15]),
    ("beside it within 5 m", "adjacent", (7, 5.0), [8, 10, 15]),
    ("beside the second field: 9 is 0.8 m off", "adjacent", (8,), [7, 9, 15]),
    ("touching the second field", "adjacent", (8, 0.0), [7, 15]),
    ("beside the sea", "adjacent", (2,), [3, 4, 5]),
    # aligned
    ("cranes in a row: the fourth is turned", "aligned", ("crane",), [(30, 31, 32)]),
    ("tanks in a row in the tank farm", "aligned", ("storage_tank", 11), [(50, 51, 52)]),
    ("aircraft in a row at the airport", "aligned", ("aircraft", 12), [(60, 61, 62, 63)]),
    ("two cranes are no row", "aligned", ([30, 31],), []),
    ("three tanks at a corner are no row", "aligned", ([50, 51, 53],), []),
    # between
    ("middle crane between the outer ones", "between", (31, 30, 32), True),
    ("fourth crane between the first and the third", "between", (33, 30, 32), False),
    ("ship between the cranes, 20 m off their line", "between", (40, 30, 32), True),
    ("ship in a corridor of 10 m each side", "between", (40, 30, 32, 10.0), False),
    ("an end is not between", "between", (30, 30, 32), False),
    ("fields between the first and the third", "all_between", (7, 9, "farmland"), [8]),
    # crosses
    ("rivers the road crosses", "crosses", (6, "river"), [5]),
    ("rivers the bridge crosses", "crosses", (22, "river"), [5]),
    ("rivers the port crosses", "crosses", (3, "river"), []),
    # count
    ("ships", "count", ("ship",), 3),
    ("tankers", "count", ("tanker",), 1),
    ("aircraft on the runway", "count", ("aircraft", 13), 1),
    ("fields in the grassland", "count", ("farmland", 1), 5),
]
"""What is asked, the method, its arguments, the answer."""
