"""What a training run is to the outside: submitted, recorded, found again."""
