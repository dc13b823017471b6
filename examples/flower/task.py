"""The app's model, its data and its training loop: scikit-learn's 1,797 digits of 8 x 8 pixels, dealt out to partitions."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """A small CNN with batch normalisation."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.bn1 = nn.BatchNorm2d(8)
        self.fc1 = nn.Linear(8 * 6 * 6, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x))).flatten(1)
        return self.fc2(torch.relu(self.fc1(x)))


def load_data(partition_id, num_partitions, batch_size):
    """A partition's data loaders: four fifths for training, a fifth for tests."""
    digits = load_digits()
    images = torch.tensor(digits.images[partition_id::num_partitions], dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target[partition_id::num_partitions])
    cut = int(0.8 * len(labels))
    train = TensorDataset(images[:cut], labels[:cut])
    test = TensorDataset(images[cut:], labels[cut:])
    return DataLoader(train, batch_size, shuffle=True), DataLoader(test, batch_size)


def train(net, trainloader, epochs, lr, device):
    """Train the model on the training set; the mean loss."""
    net.to(device).train()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    running_loss = 0.0
    for _ in range(epochs):
        for images, labels in trainloader:
            optimizer.zero_grad()
            loss = criterion(net(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
    return running_loss / (epochs * len(trainloader))


def test(net, testloader, device):
    """Validate the model on the test set: mean loss, accuracy."""
    net.to(device).eval()
    criterion = nn.CrossEntropyLoss()
    correct, loss = 0, 0.0
    with torch.no_grad():
        for images, labels in testloader:
            outputs = net(images.to(device))
            loss += criterion(outputs, labels.to(device)).item()
            correct += int((outputs.argmax(1) == labels.to(device)).sum())
    return loss / len(testloader), correct / len(testloader.dataset)
