import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { watchPolicyFile } from '../../lib/config/watch-policy.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { until } from '../helpers/until.ts'

describe('watchPolicyFile', () => {
  it('gives every policy that takes the place of the last, and refuses one with an error', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'policy.yaml')
    await writeFile(path, 'rules: []\notherwise: deny\n')
    const seen: string[] = []
    using _ = watchPolicyFile(path, {
      onPolicy: ({ file }) => seen.push(file.otherwise),
      onRefusal: ({ code }) => seen.push(code),
    })
    await writeFile(`${path}.new`, 'rules: []\notherwise: allow\n')
    await rename(`${path}.new`, path)
    await until(() => seen.length === 1, 'the new file is read')
    await writeFile(path, 'rules: []\notherwise: perhaps, or not at all\n')
    await until(() => seen.length === 2, 'the broken file is refused')
    expect(seen).to.deep.equal(['allow', 'ERR_QKD_CONFIG'])
  })
})
