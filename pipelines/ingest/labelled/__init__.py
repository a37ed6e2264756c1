"""Sets with true boxes: GOT-10k, LaSOT, TrackingNet, OTB-style and COCO folders become labelled clips."""
