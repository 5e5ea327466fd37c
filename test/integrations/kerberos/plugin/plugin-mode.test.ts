import { describeTrust } from '../trust-suite.ts'
import { pluginMode } from './plugin-mode.ts'

describeTrust(pluginMode)
