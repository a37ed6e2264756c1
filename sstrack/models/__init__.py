"""The network: a timm ViT over query, templates and search region, and a centre head."""
