"""The layouts that are recognised, the most particular first."""

from sstrack.benchmarks.layouts.folder import FOLDER_LAYOUT
from sstrack.benchmarks.layouts.got10k import GOT10K_LAYOUT
from sstrack.benchmarks.layouts.lasot import LASOT_LAYOUT
from sstrack.benchmarks.layouts.layout import Layout
from sstrack.benchmarks.layouts.otb import OTB_LAYOUT
from sstrack.benchmarks.layouts.tnl2k import TNL2K_LAYOUT
from sstrack.benchmarks.layouts.trackingnet import TRACKINGNET_LAYOUT
from sstrack.benchmarks.layouts.uav import UAV_LAYOUT
from sstrack.benchmarks.layouts.vot import VOT_LAYOUT

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        GOT10K_LAYOUT,
        LASOT_LAYOUT,
        TRACKINGNET_LAYOUT,
        UAV_LAYOUT,
        OTB_LAYOUT,
        VOT_LAYOUT,
        TNL2K_LAYOUT,
        FOLDER_LAYOUT,
    )
}
"""Name to layout, in the order in which they are tried."""
