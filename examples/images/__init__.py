"""Images in the setting of Chain FL, CIFAR-10 or what there is: python -m examples.images."""
