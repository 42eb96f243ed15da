"""Public data sets, read from the layout in which their authors publish them; built-in ones."""

from __future__ import annotations

from sarknowlip.core.lazy import LazyTable

_BUILTIN = "sarknowlip.bench.builtin.sets"

DATASETS = LazyTable(
    "data set",
    {
        "mstar": "sarknowlip.bench.datasets.mstar:Mstar",
        "sample": "sarknowlip.bench.datasets.sample:Sample",
        "sample-synthetic": "sarknowlip.bench.datasets.sample:SampleSynthetic",
        "fusar-ship": "sarknowlip.bench.datasets.fusar_ship:FusarShip",
        "opensarship": "sarknowlip.bench.datasets.opensarship:OpenSarShip",
        "sar-acd": "sarknowlip.bench.datasets.sar_acd:SarAcd",
        "hrsid": "sarknowlip.bench.datasets.hrsid:Hrsid",
        "ssdd": "sarknowlip.bench.datasets.ssdd:Ssdd",
        "sardet-100k": "sarknowlip.bench.datasets.sardet:SarDet",
        "rsdd-sar": "sarknowlip.bench.datasets.rsdd:RsddSar",
        "sen1floods11": "sarknowlip.bench.datasets.sen1floods11:Sen1Floods11",
        "air-polsar-seg": "sarknowlip.bench.datasets.airpolsarseg:AirPolSarSeg",
        "whu-opt-sar": "sarknowlip.bench.datasets.whu_opt_sar:WhuOptSar",
        "openearthmap-sar": "sarknowlip.bench.datasets.openearthmap:OpenEarthMapSar",
        "change-pairs": "sarknowlip.bench.datasets.pairs:ChangePairs",
        "polsf": "sarknowlip.bench.datasets.polsf:PolSf",
        "eurosat-sar": "sarknowlip.bench.datasets.eurosat_sar:EuroSatSar",
        "so2sat-lcz42": "sarknowlip.bench.datasets.so2sat:So2Sat",
        "sarlang-1m": "sarknowlip.bench.datasets.sarlang:Sarlang",
        "sarcap": "sarknowlip.bench.datasets.sarcap:Sarcap",
        "sar-text": "sarknowlip.bench.datasets.sar_text:SarText",
        "sarchat-2m": "sarknowlip.bench.datasets.sarchat:SarChat",
        "builtin-cover": f"{_BUILTIN}:BuiltinCover",
        "builtin-recognition": f"{_BUILTIN}:BuiltinRecognition",
        "builtin-detection": f"{_BUILTIN}:BuiltinDetection",
        "builtin-segmentation": f"{_BUILTIN}:BuiltinSegmentation",
        "builtin-change": f"{_BUILTIN}:BuiltinChange",
        "builtin-language": f"{_BUILTIN}:BuiltinLanguage",
        "builtin-polsar": f"{_BUILTIN}:BuiltinPolsar",
    },
)
