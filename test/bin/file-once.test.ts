import { mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { placeFile } from '../../bin/file-once.ts'
import { createTempDir } from '../helpers/temp-dir.ts'

describe('placeFile', () => {
  it('lets one of many win, whole, and leaves no drafts', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'key')
    const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(10_000))
    const placed = await Promise.all(texts.map(text => placeFile(path, text, { mode: 0o600, replace: false })))
    expect(placed.filter(Boolean)).to.have.length(1)
    expect(await readFile(path, 'utf8')).to.equal(texts[placed.indexOf(true)])
    expect(await readdir(dir.path)).to.deep.equal(['key'])
  })

  it('replaces where it is told to, permissions included', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'key')
    await placeFile(path, 'old', { mode: 0o644, replace: false })
    expect(await placeFile(path, 'new', { mode: 0o600, replace: true })).to.equal(true)
    expect(await readFile(path, 'utf8')).to.equal('new')
    expect((await stat(path)).mode & 0o777).to.equal(0o600)
  })

  it('leaves no draft behind where it fails', async () => {
    await using dir = await createTempDir()
    const path = join(dir.path, 'taken')
    await mkdir(path)
    const outcome = await placeFile(path, 'x', { mode: 0o600, replace: true }).catch((error: Error) => error)
    expect(outcome).to.be.instanceOf(Error)
    expect(await readdir(dir.path)).to.deep.equal(['taken'])
  })
})
