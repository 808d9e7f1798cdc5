"""Moved."""
from lsml.atomic import check_target as check_target, replacing as replacing
