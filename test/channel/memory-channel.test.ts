import { createMemoryChannelPair } from '../../lib/channel/memory-channel.ts'
import { messageChannelCompliance } from '../compliance/message-channel.ts'

messageChannelCompliance({
  backend: 'memory',
  setup: async () => ({ idA: 'kme-a', idB: 'kme-b', open: async () => createMemoryChannelPair(['kme-a', 'kme-b']) }),
  teardown: async () => {},
})
