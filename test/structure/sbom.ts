import { readSource } from './tree.ts'

interface LockedPackage {
  readonly version: string
  readonly resolved?: string
  readonly integrity?: string
  readonly license?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly peer?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const FOLDER = 'node_modules/'

/**
 * The software bill of materials (CycloneDX 1.6): every package that an installation brings along, by the lock file, with
 * its licence, the hash of its archive, and what needs it. Written from the lock file itself: npm's own command leaves out
 * what tools need too.
 */
export function sbom(): object {
  const { version } = JSON.parse(readSource('package.json').text) as { version: string }
  const { packages } = JSON.parse(readSource('package-lock.json').text) as { packages: Record<string, LockedPackage> }
  const shipped = new Map(Object.entries(packages).filter(([, { dev, peer }]) => dev !== true && peer !== true))
  const reference = (path: string) => (path === '' ? 'qkdkit' : path)
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: { type: 'library', 'bom-ref': 'qkdkit', name: 'qkdkit', version, purl: `pkg:npm/qkdkit@${version}` },
    },
    components: [...shipped].filter(([path]) => path !== '').map(([path, locked]) => component(path, locked)),
    dependencies: [...shipped].map(([path, { dependencies, optionalDependencies }]) => ({
      ref: reference(path),
      dependsOn: Object.keys({ ...dependencies, ...optionalDependencies })
        .map(name => placeOf(name, path, shipped))
        .filter(place => place !== undefined)
        .sort(),
    })),
  }
}

function component(path: string, { version, resolved, integrity, license, optional }: LockedPackage): object {
  const name = nameAt(path)
  return {
    type: 'library',
    'bom-ref': path,
    name,
    version,
    scope: optional === true ? 'optional' : 'required',
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    ...(integrity !== undefined && { hashes: [hashOf(integrity)] }),
    ...(license !== undefined && { licenses: [{ expression: license }] }),
    ...(resolved !== undefined && { externalReferences: [{ type: 'distribution', url: resolved }] }),
  }
}

/** Where Node finds the package that the one at `path` needs: in its own folder, or the nearest above. */
function placeOf(name: string, path: string, shipped: ReadonlyMap<string, LockedPackage>): string | undefined {
  for (let from = path; from !== ''; from = from.slice(0, Math.max(0, from.lastIndexOf(`/${FOLDER}`)))) {
    const place = `${from}/${FOLDER}${name}`
    if (shipped.has(place)) return place
  }
  return shipped.has(FOLDER + name) ? FOLDER + name : undefined
}

function nameAt(path: string): string {
  return path.slice(path.lastIndexOf(FOLDER) + FOLDER.length)
}

/** A hash as npm has it (Subresource Integrity), the way CycloneDX has it. */
function hashOf(integrity: string): object {
  const [, bits, base64] = /^sha(\d+)-(.+)$/.exec(integrity)!
  return { alg: `SHA-${bits}`, content: Buffer.from(base64!, 'base64').toString('hex') }
}
