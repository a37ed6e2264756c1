"""Tracking as a service: uploads, URIs and live frames, whose sessions advance together in one batch on one thread."""
