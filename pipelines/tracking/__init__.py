"""A trained tracker on a person's own footage: files, folders, streams and cameras in, boxes and video out."""
