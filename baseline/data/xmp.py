"""XMP without what it tells of other images in the file, such as gain maps: those are not written again."""

import io
from xml.etree import ElementTree

_OTHERS = (
    "http://ns.adobe.com/hdr-gain-map/",
    "http://ns.apple.com/HDRGainMap/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/camera/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/dd/",
    "http://ns.adobe.com/xmp/note/",
)
"""Namespaces of gain maps, of files behind a JPEG such as moving parts and depth, and of XMP that goes on elsewhere."""
_BEGIN = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = b'\n<?xpacket end="w"?>'


def alone(xmp: bytes) -> tuple[bytes | None, str | None]:
    """The XMP of an image that stands alone now, and a note if something was taken out of it, or all of it."""
    if not any(space.encode() in xmp for space in _OTHERS):
        return xmp, None
    try:
        for _, (prefix, space) in ElementTree.iterparse(io.BytesIO(_trimmed(xmp)), ["start-ns"]):
            if not prefix.startswith("ns"):
                ElementTree.register_namespace(prefix, space)
        root = ElementTree.fromstring(_trimmed(xmp))
    except (ElementTree.ParseError, ValueError):
        return None, "its XMP, which is damaged and tells of a gain map or other parts, was left out"
    for element in root.iter():
        for child in [child for child in element if _is_other(child.tag)]:
            element.remove(child)
        for name in [name for name in element.attrib if _is_other(name)]:
            del element.attrib[name]
    note = "its gain map, or what else its XMP tells of beside the image, was left out"
    return _BEGIN + ElementTree.tostring(root) + _END, note


def _is_other(name: str) -> bool:
    return name.startswith(tuple(f"{{{space}" for space in _OTHERS))


def _trimmed(xmp: bytes) -> bytes:
    """Without the padding of packets, and what else is no XML."""
    return xmp.strip(b"\0 \n\r\t")
