/** Sifted bits of a block of post-processing. */
const KEY_BITS = 2 ** 18

/** When the demonstration's satellite stands highest: a moment after it rose, with most of its pass to come. */
const CULMINATION_MS = 20_000

/**
 * The links that the demonstration can have: fast enough not to wait for, and not so short that their post-processing had
 * nothing to do. What is here is all that differs between them: the configuration of the link.
 */
const LINKS = {
  bb84: () => ({ kind: 'bb84', preset: 'li-2023', distanceKm: 10, keyBits: KEY_BITS }) as const,
  'free-space': () => ({ kind: 'free-space', preset: 'roofs-night', distanceKm: 1, keyBits: KEY_BITS }) as const,
  satellite: () => ({ kind: 'satellite', preset: 'leo-fast', keyBits: KEY_BITS, passes: [passNow()] }) as const,
  'post-quantum': () => ({ kind: 'post-quantum', rateBps: 2_000_000 }) as const,
  simulated: () => ({ kind: 'simulated', rateBps: 2_000_000 }) as const,
} as const

/** What `--link` takes. */
export type DemoLinkKind = keyof typeof LINKS

/** The link of a demonstration, as a site's configuration has it. */
export type DemoLink = ReturnType<(typeof LINKS)[DemoLinkKind]>

export const DEMO_LINK_KINDS = Object.keys(LINKS) as DemoLinkKind[]

/** The link of that kind, the same for both sites. */
export function demoLink(kind: DemoLinkKind): DemoLink {
  return LINKS[kind]()
}

/** What it is, and what it is not, in a line each. */
export function describeDemoLink(link: DemoLink): readonly [what: string, warning: string] {
  const photons = 'never for real secrets'
  switch (link.kind) {
    case 'bb84':
      return [`BB84 over ${link.distanceKm} km of fibre (${link.preset}); its photons are simulated:`, photons]
    case 'free-space':
      return [`BB84 through ${link.distanceKm} km of air (${link.preset}); its photons are simulated:`, photons]
    case 'satellite':
      return [`BB84 with a satellite in view (${link.preset}); its photons are simulated:`, photons]
    case 'post-quantum':
      return ['ML-KEM-768, no quantum channel:', 'as secret as that problem is hard']
    case 'simulated':
      return ['random bytes in clear over a connection, no photons:', photons]
  }
}

function passNow() {
  const time = new Date(Date.now() + CULMINATION_MS).toISOString().slice(11, 19)
  return { time, maximumElevationDeg: 85 }
}
