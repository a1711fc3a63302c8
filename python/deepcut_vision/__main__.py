"""The command ``deepcut`` without its script: ``python -m deepcut_vision segment cat.jpg``."""

from deepcut_vision._command import main

if __name__ == "__main__":
    main()
