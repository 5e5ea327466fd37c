/** Mean radius of the Earth in km, and its gravitational parameter in km³/s². */
const EARTH_KM = 6371
const GRAVITY_KM3_S2 = 398_600.4418

/** Where a satellite stands as its ground station sees it. */
export interface Sighting {
  /** Height over the horizon, in degrees; below 0 it has set. */
  readonly elevationDeg: number
  /** Distance of the two, in km. */
  readonly rangeKm: number
}

/**
 * A satellite on a circular orbit that culminates at `maximumElevationDeg`, `sinceCulminationS` seconds from then. The Earth
 * stands still meanwhile: within the minutes of a pass over a low orbit it turns by a degree or two.
 */
export function sightingAt(
  { altitudeKm, maximumElevationDeg }: { altitudeKm: number; maximumElevationDeg: number },
  sinceCulminationS: number,
): Sighting {
  const orbitKm = EARTH_KM + altitudeKm
  const speed = Math.sqrt(GRAVITY_KM3_S2 / orbitKm ** 3)
  const nearest = centralAngle(maximumElevationDeg, orbitKm)
  const cosine = Math.cos(nearest) * Math.cos(speed * sinceCulminationS)
  const rangeKm = Math.sqrt(EARTH_KM ** 2 + orbitKm ** 2 - 2 * EARTH_KM * orbitKm * cosine)
  const sine = (orbitKm * cosine - EARTH_KM) / rangeKm
  return { elevationDeg: (180 / Math.PI) * Math.asin(Math.min(Math.max(sine, -1), 1)), rangeKm }
}

/** How long such a pass stays above `minimumElevationDeg`, in seconds; 0 if it never gets there. */
export function passDurationS(
  { altitudeKm, maximumElevationDeg }: { altitudeKm: number; maximumElevationDeg: number },
  minimumElevationDeg: number,
): number {
  if (maximumElevationDeg <= minimumElevationDeg) return 0
  const orbitKm = EARTH_KM + altitudeKm
  const speed = Math.sqrt(GRAVITY_KM3_S2 / orbitKm ** 3)
  const edge =
    Math.cos(centralAngle(minimumElevationDeg, orbitKm)) / Math.cos(centralAngle(maximumElevationDeg, orbitKm))
  return (2 * Math.acos(Math.min(edge, 1))) / speed
}

/** Angle at the Earth's centre between the station and the point below a satellite that it sees so high. */
function centralAngle(elevationDeg: number, orbitKm: number): number {
  const elevation = (Math.PI / 180) * elevationDeg
  return Math.acos((EARTH_KM / orbitKm) * Math.cos(elevation)) - elevation
}
