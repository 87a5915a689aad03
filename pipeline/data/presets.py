"""How instruments and programs name their files: patterns by name, for a layout's `files`."""

_PLATE = r"(?:.*/)??(?:(?!Images/)(?P<plate>[^/]+)/)?"
_WELL = r"(?P<well>[A-P] ?-? ?\d{1,2})"
_TIFF = r"\.tiff?"

PRESETS = {
    # r01c02f03p01-ch1sk1fk1fl1.tiff, in a folder Images of a measurement
    "opera-phenix": rf"{_PLATE}(?:Images/)?r(?P<row>\d+)c(?P<column>\d+)f(?P<field>\d+)p(?P<z>\d+)"
    rf"-ch(?P<channel>\d+)sk(?P<time>\d+)fk\d+fl\d+{_TIFF}",
    # plate_A01_s1_w1<uuid>.tif, perhaps without the plate, below TimePoint_1 and ZStep_1; no thumbnails
    "imagexpress": rf"(?:.*/)??(?:TimePoint_(?P<time>\d+)/)?(?:ZStep_(?P<z>\d+)/)?"
    rf"(?:(?P<plate>[^/]+?)_)?{_WELL}(?:_s(?P<field>\d+))?_w(?P<channel>\d)(?!_thumb)(?:[0-9A-F-]{{36}})?{_TIFF}",
    # plate_A01_T0001F001L01A01Z01C01.tif
    "yokogawa": rf"(?:.*/)?(?P<plate>[^/]+?)_{_WELL}_T(?P<time>\d+)F(?P<field>\d+)L\d+A\d+Z(?P<z>\d+)"
    rf"C(?P<channel>\d+){_TIFF}",
    # A - 01(fld 01 wv DAPI - DAPI).tif
    "incell": rf"{_PLATE}{_WELL}\(fld (?P<field>\d+)(?: wv (?P<channel>[^()]+?))?(?: z (?P<z>\d+))?"
    rf"(?: time (?P<time>\d+)[^()]*)?\){_TIFF}",
    # img_channel000_position001_time000000000_z000.tif
    "micromanager": rf"{_PLATE}img_channel(?P<channel>\d+)_position(?P<position>\d+)_time(?P<time>\d+)"
    rf"_z(?P<z>\d+){_TIFF}",
    # Pos0/img_000000000_DAPI_000.tif
    "micromanager-1": rf"(?:.*/)??(?:(?P<position>[^/]+)/)?img_(?P<time>\d{{9}})_(?P<channel>.+)"
    rf"_(?P<z>\d{{3}}){_TIFF}",
    # red/<Id>_red.jpg
    "cellmaps": r"(?P<channel>red|green|blue|yellow)/(?P<Id>[^/]+)_(?P=channel)\.(?:png|jpe?g|tiff?)",
}
"""Regular expressions over the path of a file below the folder of pictures, by name."""

PRESETS["operetta"] = PRESETS["opera-phenix"]
