import Llama2Core
