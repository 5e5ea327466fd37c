import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { openFirstRound, readPreSharedKey } from '../../../../lib/qll/bb84/link/first-round.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'

describe('readPreSharedKey', () => {
  it('takes the bytes of a file that only its owner reads', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'link.psk')
    await writeFile(path, Buffer.alloc(48, 7), { mode: 0o600 })
    const [one, other] = await Promise.all([readPreSharedKey(path), readPreSharedKey(path)])
    expect(one.sizeBytes).to.equal(48)
    expect(one.equals(other)).to.equal(true)
  })

  it('refuses a file that is missing, open to others, too short or too long, naming it', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'link.psk')
    expect((await rejectsWith(readPreSharedKey(path), 'ERR_QKD_CONFIG')).message).to.contain(path)
    for (const size of [0, 31, 4097]) {
      await writeFile(path, Buffer.alloc(size), { mode: 0o600 })
      expect((await rejectsWith(readPreSharedKey(path), 'ERR_QKD_CONFIG')).message).to.match(/32 to 4096/)
    }
    await writeFile(path, Buffer.alloc(32))
    await chmod(path, 0o644)
    expect((await rejectsWith(readPreSharedKey(path), 'ERR_QKD_CONFIG')).message).to.match(/chmod 600/)
  })
})

describe('openFirstRound', () => {
  it('needs a key or a certificate', async () => {
    await rejectsWith(openFirstRound({ remoteSiteId: 'bob' }), 'ERR_QKD_CONFIG')
    const identity = { cert: 'x', key: 'y', ca: 'z' }
    await rejectsWith(openFirstRound({ remoteSiteId: 'bob', identity }), 'ERR_QKD_INVALID_ARGUMENT')
  })
})
