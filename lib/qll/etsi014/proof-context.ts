import { ByteWriter } from '../../util/bytes.ts'

/** What a block's tags cover besides its bytes: the two sites in the order drawing end, fetching end. */
export function proofContext(linkId: string, sites: readonly [string, string], number: bigint): Uint8Array {
  return new ByteWriter()
    .field('qkdkit/1 etsi-014 block')
    .field(linkId)
    .field(sites[0])
    .field(sites[1])
    .u64(number)
    .bytes()
}
