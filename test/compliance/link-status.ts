import type { Link, LinkStatus } from '../../lib/interface/link.ts'

/** Resolves when the end's status is as wanted; fails after 8 s, saying how it is instead. */
export function statusOf(link: Link, wanted: (status: LinkStatus) => boolean): Promise<LinkStatus> {
  const present = link.status()
  if (wanted(present)) return Promise.resolve(present)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      stop()
      reject(new Error(`The link stays ${JSON.stringify(link.status())}`))
    }, 8000)
    const stop = link.onStatus(status => {
      if (!wanted(status)) return
      clearTimeout(timer)
      stop()
      resolve(status)
    })
  })
}
