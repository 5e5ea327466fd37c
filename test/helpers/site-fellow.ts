import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts, SiteProcess, type SiteProcesses } from './site-process.ts'

/** A further replica of the first site, with the keys of the one that runs. */
export interface SiteFellow {
  readonly process: SiteProcess
  /** TCP port of its server for hosts. */
  readonly port: number
}

/** Starts it, beside the first one, whose pools are in PostgreSQL; `number` tells it from others, default 2. */
export async function startSiteFellow(
  { directory }: SiteProcesses,
  { built = false, number = 2 }: { built?: boolean; number?: number } = {},
): Promise<SiteFellow> {
  const name = number === 2 ? 'fellow' : `fellow-${number}`
  const [port] = await freePorts(1)
  const config = JSON.parse(await readFile(join(directory, 'site-a.json'), 'utf8')) as Record<string, object>
  await mkdir(join(directory, `${name}.store`), { mode: 0o700 })
  for (const [from, to] of [
    ['site-a.kek', `${name}.kek`],
    ['site-a.store/slots.bin', `${name}.store/slots.bin`],
  ] as const) {
    await copyFile(join(directory, from), join(directory, to))
  }
  const path = join(directory, `${name}.json`)
  const fellow = {
    ...config,
    listen: { port },
    peerListen: { port: 0 },
    ...(config.operators && { operators: { ...config.operators, socket: `${name}.sock` } }),
    store: {
      ...config.store,
      path: `${name}.store`,
      kek: { file: `${name}.kek` },
      replica: { id: `site-a-${number}`, port: 0 },
    },
  }
  await writeFile(path, JSON.stringify(fellow))
  const process = new SiteProcess('site-a', path, { built, root: undefined })
  await process.start()
  return { process, port: port! }
}
