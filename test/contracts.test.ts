/** The contracts that have one backend, or belong to everything: telemetry, logger, slots, and closing. */
import { join } from 'node:path'
import { createMemoryChannelPair } from '../lib/channel/memory-channel.ts'
import type { Closable } from '../lib/interface/lifecycle.ts'
import { SecretKey } from '../lib/key/secret-key.ts'
import { LmdbPoolStore } from '../lib/kms/store/lmdb-store.ts'
import { MemorySlots } from '../lib/kms/store/memory-slots.ts'
import { MemoryPoolStore } from '../lib/kms/store/memory-store.ts'
import { SlotFile } from '../lib/kms/store/slot-file.ts'
import { createSimulatedLinkPair } from '../lib/qll/simulated-link-pair.ts'
import { DirectQnl } from '../lib/qnl/direct-qnl.ts'
import { createLocalPair } from '../lib/site.ts'
import { TelemetryHub } from '../lib/telemetry.ts'
import { lineLogger } from '../lib/util/debug-logger.ts'
import { closableCompliance } from './compliance/closable.ts'
import { loggerCompliance } from './compliance/logger.ts'
import { slotStoreCompliance } from './compliance/slot-store.ts'
import { telemetryCompliance } from './compliance/telemetry.ts'
import { createTempDir } from './helpers/temp-dir.ts'

telemetryCompliance({
  backend: 'TelemetryHub',
  setup: async () => ({ telemetry: new TelemetryHub() }),
  teardown: async () => {},
})

loggerCompliance({
  backend: 'lineLogger',
  setup: async () => {
    const lines: string[] = []
    return { logger: lineLogger(line => void lines.push(line)), written: async () => lines.join('\n') }
  },
  teardown: async () => {},
})

slotStoreCompliance({
  backend: 'memory',
  setup: async () => ({ slots: new MemorySlots() }),
  teardown: ({ slots }) => slots.close(),
})

slotStoreCompliance({
  backend: 'file',
  setup: async () => {
    const dir = await createTempDir()
    return { dir, slots: await SlotFile.open(join(dir.path, 'slots'), { kek: SecretKey.random(32) }) }
  },
  teardown: async fixture => {
    await fixture.slots.close()
    await (fixture as unknown as { dir: AsyncDisposable }).dir[Symbol.asyncDispose]()
  },
})

/** Parts that hang together, closed together in order. */
function together(parts: readonly Closable[]): Closable {
  const close = async () => {
    for (const part of parts) await part.close()
  }
  return { close, [Symbol.asyncDispose]: close }
}

const closables: Record<string, () => Promise<Closable>> = {
  'memory store': async () => new MemoryPoolStore(),
  'memory slots': async () => new MemorySlots(),
  'memory channel': async () => together(createMemoryChannelPair(['a', 'b'])),
  'simulated link': async () =>
    together(createSimulatedLinkPair({ linkId: 'l', siteIds: ['a', 'b'], rateBps: 1_000_000 })),
  'direct QNL': async () => new DirectQnl({ siteId: 'a', links: [] }),
  'local pair': async () => together(await createLocalPair()),
  Kms: async () => {
    const sites = await createLocalPair()
    const kms = sites[0].kmsFor('alice')
    return together([kms, ...sites])
  },
}

for (const [backend, open] of Object.entries(closables)) {
  closableCompliance({ backend, setup: async () => ({ open }), teardown: async () => {} })
}

closableCompliance({
  backend: 'lmdb store',
  setup: async () => {
    const dir = await createTempDir()
    return { dir, open: () => LmdbPoolStore.open(dir.path) }
  },
  teardown: async fixture => (fixture as unknown as { dir: AsyncDisposable }).dir[Symbol.asyncDispose](),
})
