/**
 * `npm run boms -- DIRECTORY`: writes the bills of materials of a release there, in CycloneDX: `sbom.cdx.json`, the packages
 * that come along, from the lock file; and `cbom.cdx.json`, the cryptography of the toolkit's own code.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { cbom } from './crypto/cbom.ts'
import { jsonPage } from './json-page.ts'
import { sbom } from './sbom.ts'

const directory = process.argv[2]
if (directory === undefined) {
  console.error('Say where to write them: npm run boms -- DIRECTORY')
  process.exit(2)
}
const out = resolve(directory)
mkdirSync(out, { recursive: true })
for (const [name, bom] of Object.entries({ sbom: sbom(), cbom: cbom() })) {
  const path = join(out, `${name}.cdx.json`)
  writeFileSync(path, jsonPage(bom))
  console.log(`${path} written`)
}
