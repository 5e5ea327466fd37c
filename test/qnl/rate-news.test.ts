import { expect } from 'chai'
import { RateNews } from '../../lib/qnl/rate-news.ts'

const change = (rateBps: number, wasBps: number, askedBps = 2000) => {
  return { remoteSiteId: 'site-b', askedBps, rateBps, wasBps, reason: 'a cut' }
}

describe('RateNews', () => {
  it('tells of less, of nothing and of more', () => {
    const news = new RateNews()
    expect(news.of(change(500, 1000))).to.deep.equal({
      type: 'rate-drop',
      remoteSiteId: 'site-b',
      rateBps: 500,
      wasBps: 1000,
    })
    expect(news.of(change(0, 500))).to.deep.equal({ type: 'pair-unserved', remoteSiteId: 'site-b', reason: 'a cut' })
    expect(news.of(change(5, 0))).to.deep.equal({ type: 'restored', remoteSiteId: 'site-b', rateBps: 5 })
  })

  it('does not tell of a rate that wavers, and does of one that drifts away or comes back in small steps', () => {
    const news = new RateNews()
    expect(news.of(change(995, 1000))).to.equal(undefined)
    expect(news.of(change(500, 995))).to.include({ type: 'rate-drop', wasBps: 995 })
    expect(news.of(change(503, 500))).to.equal(undefined)
    expect(news.of(change(506, 503))).to.include({ type: 'restored', rateBps: 506 })
  })

  it('counts from the grant of a new demand', () => {
    const news = new RateNews()
    news.of(change(500, 1000))
    expect(news.answered('site-b', { askedBps: 300, rateBps: 200 })).to.equal(undefined)
    expect(news.of(change(200, 200))).to.equal(undefined)
  })

  it('tells that a pair which had too little gets all it asks for, also where it asks for less or for nothing', () => {
    const news = new RateNews()
    expect(news.answered('site-b', { askedBps: 400, rateBps: 400 })).to.equal(undefined)
    news.of(change(500, 1000, 1000))
    expect(news.answered('site-b', { askedBps: 400, rateBps: 400 })).to.include({ type: 'restored', rateBps: 400 })
    expect(news.answered('site-b', { askedBps: 300, rateBps: 300 })).to.equal(undefined)
    news.of(change(0, 300, 300))
    expect(news.answered('site-b', { askedBps: 0, rateBps: 0 })).to.include({ type: 'restored', rateBps: 0 })
    news.of(change(980, 1000, 1000))
    expect(news.answered('site-b', { askedBps: 985, rateBps: 980 })).to.equal(undefined)
    expect(news.of(change(985, 980, 985))).to.include({ type: 'restored', rateBps: 985 })
  })
})
