/** `npm run docs`: writes the generated blocks of the pages anew. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedDocs } from './generated-docs.ts'
import { readSource, top } from './tree.ts'

for (const [path, write] of Object.entries(generatedDocs)) {
  const { text } = readSource(path)
  const wanted = await write(text)
  if (wanted === text) continue
  writeFileSync(join(top, path), wanted)
  console.log(`${path} written`)
}
