"""Closed forms and series that effective properties obey: what solvers are held to."""

from lsml.exact.arrays import cylinder_array as cylinder_array
from lsml.exact.arrays import sphere_array as sphere_array
from lsml.exact.bounds import cubic_polycrystal_bulk as cubic_polycrystal_bulk
from lsml.exact.bounds import hashin_shtrikman as hashin_shtrikman
from lsml.exact.bounds import (
    hashin_shtrikman_conductivity as hashin_shtrikman_conductivity,
)
from lsml.exact.bounds import levin_thermal_expansion as levin_thermal_expansion
from lsml.exact.inclusions import dilute_spheres as dilute_spheres
from lsml.exact.inclusions import eshelby_sphere as eshelby_sphere
from lsml.exact.inclusions import mori_tanaka as mori_tanaka
from lsml.exact.inclusions import sphere_localization as sphere_localization
from lsml.exact.mixtures import hill as hill
from lsml.exact.mixtures import laminate as laminate
from lsml.exact.mixtures import laminate_conductivity as laminate_conductivity
from lsml.exact.mixtures import reuss as reuss
from lsml.exact.mixtures import voigt as voigt
from lsml.exact.mixtures import wiener as wiener
from lsml.exact.plane import checkerboard as checkerboard
from lsml.exact.plane import dual as dual
from lsml.exact.plane import obnosov as obnosov
from lsml.exact.scattering import cylinder_scattering as cylinder_scattering
from lsml.exact.scattering import slab_reflectance as slab_reflectance
from lsml.exact.shares import Interval as Interval
from lsml.exact.shares import volume_fractions as volume_fractions
