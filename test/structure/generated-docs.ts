import { saeProfileSchema } from '../../lib/config/sae-profile.ts'
import { siteConfigSchema } from '../../lib/config/site-config.ts'
import { configurationTable, replaceBlock } from './configuration-table.ts'

/** The pages that have generated blocks, each with what its text should be, given the text as it stands. */
export const generatedDocs: Readonly<Record<string, (page: string) => string>> = {
  'docs/configuration.md': page => {
    const withSite = replaceBlock(page, 'site configuration', configurationTable(siteConfigSchema))
    return replaceBlock(withSite, 'SAE profile', configurationTable(saeProfileSchema))
  },
}
