import { expect } from 'chai'
import { type SaNews, SaWatch } from '../../../../integrations/strongswan/charon/sa-watch.ts'

const log = (uniqueId: string, msg: string, connection = 'c') => ({
  name: 'log',
  message: { 'ikesa-name': connection, 'ikesa-uniqueid': uniqueId, msg },
})
const updown = (uniqueId: string, up: boolean, ppk = 'yes') => ({
  name: 'ike-updown',
  message: { ...(up ? { up: 'yes' } : {}), c: { uniqueid: uniqueId, state: 'ESTABLISHED', ppk } },
})
const child = (uniqueId: string, name: string) => ({
  name: 'child-updown',
  message: { up: 'yes', c: { uniqueid: uniqueId, 'child-sas': { [`${name}-1`]: { name } } } },
})
const rekey = (from: string, to: string) => ({
  name: 'ike-rekey',
  message: { c: { old: { uniqueid: from }, new: { uniqueid: to } } },
})
const signal = () => AbortSignal.timeout(2_000)

describe('SaWatch', () => {
  it("knows from charon's log which key an IKE_SA uses, before and after it is asked", async () => {
    const watch = new SaWatch()
    const early = watch.ppkUsed('c', 'k2@c', { signal: signal() })
    watch.take(log('1', "using PPK for PPK_ID 'k1@c'"))
    expect(await watch.ppkUsed('c', 'k1@c', { signal: signal() })).to.equal('1')
    watch.take(log('7', "using PPK for PPK_ID 'k2@c'", 'other'))
    watch.take(log('2', "using PPK for PPK_ID 'k2@c'"))
    expect(await early).to.equal('2')
    expect(watch.seen('2')).to.include({ uniqueId: '2', connection: 'c', ppkId: 'k2@c' })
  })

  it('tells which key is missing, in the words for both cases', () => {
    const watch = new SaWatch()
    const news: SaNews[] = []
    watch.onNews(each => news.push(each))
    watch.take(log('1', "PPK required but no PPK found for 'k1'"))
    watch.take(log('1', "no PPK for 'k2' found, ignored because PPK is not required"))
    watch.take(log('1', 'PPK required but peer does not support PPK'))
    expect(news).to.deep.equal([
      { type: 'ppk-missing', connection: 'c', ppkId: 'k1' },
      { type: 'ppk-missing', connection: 'c', ppkId: 'k2' },
    ])
  })

  it('follows an IKE_SA through its rekeyings', () => {
    const watch = new SaWatch()
    watch.take(log('1', "using PPK for PPK_ID 'k1@c'"))
    watch.take(updown('1', true))
    watch.take(rekey('1', '2'))
    watch.take(rekey('2', '5'))
    expect(watch.rootOf('5')).to.equal('1')
    expect(watch.rootOf('9')).to.equal('9')
    expect(watch.seen('1')).to.include({ uniqueId: '5', ppkId: 'k1@c' })
    expect(watch.live('c')).to.deep.equal(['5'])
    watch.take(updown('5', false))
    expect(watch.live('c')).to.deep.equal([])
    expect(watch.seen('5')?.ppkId).to.equal('k1@c')
  })

  it('waits until an IKE_SA and all its children are up, and says whether it has a PPK', async () => {
    const watch = new SaWatch()
    const standing = watch.standing('1', ['x', 'y'], { signal: signal() })
    watch.take(child('1', 'x'))
    watch.take(updown('1', true))
    watch.take(child('1', 'y'))
    expect(await standing).to.equal(true)
    watch.take(updown('2', true, 'no'))
    expect(await watch.standing('2', [], { signal: signal() })).to.equal(false)
    const gaveUp = watch.standing('3', [], { signal: AbortSignal.abort('enough') }).catch((error: unknown) => error)
    expect(await gaveUp).to.equal('enough')
  })

  it('finds the newcomer among the IKE_SAs of a connection, and not one that was rekeyed', async () => {
    const watch = new SaWatch()
    watch.take(updown('1', true))
    const newcomer = watch.newcomer('c', new Set(['1']), { signal: signal() })
    watch.take(rekey('1', '2'))
    watch.take(updown('3', true))
    expect(await newcomer).to.equal('3')
  })

  it('forgets everything with the charon that said it', () => {
    const watch = new SaWatch()
    watch.take(updown('1', true))
    watch.clear()
    expect(watch.live('c')).to.deep.equal([])
    expect(watch.seen('1')).to.equal(undefined)
  })
})
